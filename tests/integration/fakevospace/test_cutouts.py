"""Cut-outs of FITS files at vault's byte service (protocol.md 6.1), read back with astropy."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakevospace.sample import mosaic, star_field

from .conftest import Client, MakeClient
from .shell import NEEDS_VOS, Shell

BLOCK = 2880
CENTRE = (210.802, 54.349)  # of the star field


@pytest.fixture
def astro() -> Iterator[Any]:
    """astropy, whose user directories exist here."""
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
    import astropy.io.fits  # here: it looks at those directories when imported
    import astropy.wcs

    yield astropy


class Files:
    """A vault with FITS files, and what astropy makes of cut-outs of them."""

    def __init__(self, client: Client, astropy: Any) -> None:
        self.client, self.fits, self._wcs = client, astropy.io.fits, astropy.wcs

    def wcs(self, header: Any) -> Any:
        """Return the coordinates of a header."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._wcs.FITSFixedWarning)
            return self._wcs.WCS(header)

    def put(self, name: str, *hdus: Any) -> None:
        """Store HDUs as a file."""
        held = io.BytesIO()
        self.fits.HDUList(list(hdus)).writeto(held, checksum=True)
        self.client.fake.put(name, held.getvalue())

    def get(self, name: str, **query: object) -> Any:
        """GET with parameters; the file must be right in all that astropy knows."""
        url = self.client.endpoints(name, "pullFromVoSpace")[0]
        answer = self.client.call("GET", url, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/fits"
        assert "Digest" not in answer.headers and "Accept-Ranges" not in answer.headers
        assert len(answer.content) % BLOCK == 0
        return self.read(answer.content)

    def read(self, data: bytes) -> Any:
        """Read a file, with checksums where it has them."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = self.fits.open(io.BytesIO(data), checksum=True, lazy_load_hdus=False)
            found.verify("exception")
            for hdu in found:
                hdu.data  # noqa: B018 - read now
        return found

    def original(self, name: str) -> Any:
        """Read the file as it is stored."""
        return self.read(self.client.fake.get(name))

    def refusal(self, name: str, **query: object) -> str:
        """GET with parameters that must be refused."""
        url = self.client.endpoints(name, "pullFromVoSpace")[0]
        answer = self.client.call("GET", url, params=query)
        assert answer.status_code == 400
        return answer.text

    def same_sky(self, cut: Any, whole: Any, x: int, y: int) -> None:
        """Compare where the first pixel of a cut is with where it was."""
        new = self.wcs(cut.header).wcs_pix2world([[1, 1]], 1)
        assert abs(new - self.wcs(whole.header).wcs_pix2world([[x, y]], 1)).max() < 1e-10


@pytest.fixture
def files(vault: Client, astro: Any) -> Files:
    """The two sample files on a vault."""
    vault.fake.put("star.fits", star_field())
    vault.fake.put("mosaic.fits", mosaic())
    return Files(vault, astro)


@pytest.mark.parametrize("sub", ["[0][10:20,30:35]", "[10:20,30:35]", " [0] [10:20, 30:35] "])
def test_part_of_the_primary_image(files: Files, sub: str) -> None:
    whole, cut = files.original("star.fits"), files.get("star.fits", SUB=sub)
    assert len(cut) == 1 and cut[0].data.shape == (6, 11)
    assert (cut[0].data == whole[0].data[29:35, 9:20]).all()
    assert cut[0].header["CRPIX1"] == whole[0].header["CRPIX1"] - 9
    assert cut[0].header["CRPIX2"] == whole[0].header["CRPIX2"] - 29
    files.same_sky(cut[0], whole[0], 10, 30)
    assert cut[0].header["OBJECT"] == "FAKE FIELD 1"


@pytest.mark.parametrize("extension", ["2", "CHIP2", "chip2,1"])
def test_part_of_an_extension_becomes_the_primary_image(files: Files, extension: str) -> None:
    whole = files.original("mosaic.fits")
    cut = files.get("mosaic.fits", SUB=f"[{extension}][5:9,*]")
    assert len(cut) == 1 and (cut[0].data == whole[2].data[:, 4:9]).all()
    files.same_sky(cut[0], whole[2], 5, 1)
    assert files.get("mosaic.fits", SUB=f"[{extension}]")[0].data.shape == whole[2].data.shape


def test_several_make_several(files: Files) -> None:
    whole = files.original("mosaic.fits")
    cut = files.get("mosaic.fits", SUB=["[3][1:4,1:5]", "[1]", "[1][7,8]"])
    assert [hdu.header.get("EXTNAME") for hdu in cut] == [None, "CHIP3", "CHIP1", "CHIP1"]
    assert cut[0].header["OBJECT"] == "FAKE MOSAIC" and cut[0].data is None
    assert (cut[1].data == whole[3].data[:5, :4]).all()
    assert (cut[2].data == whole[1].data).all()
    assert cut[3].data.shape == (1, 1) and cut[3].data[0, 0] == whole[1].data[7, 6]


def test_several_of_a_primary_image(files: Files) -> None:
    cut = files.get("star.fits", SUB=["[0][1:4,1:5]", "[0][3:4,1:5]"])
    assert [hdu.data.shape for hdu in cut] == [(5, 4), (5, 2)]
    assert cut[0].header["EXTEND"] is True and cut[1].header["XTENSION"] == "IMAGE"


def test_what_reaches_over_the_edge_is_left_out(files: Files) -> None:
    _, width = files.original("star.fits")[0].data.shape
    cut = files.get("star.fits", SUB=f"[{width - 2}:{width + 50},0:3]")
    assert cut[0].data.shape == (3, 3)


@pytest.mark.parametrize(
    ("name", "sub", "text"),
    [("star.fits", "[0][5000:6000,1:2]", "no overlap"), ("star.fits", "[0][0,1:2]", "no overlap"),
     ("star.fits", "[1]", "no such extension"), ("mosaic.fits", "[NONE][1:2,1:2]", "no such"),
     ("mosaic.fits", "[1:2,1:2]", "no overlap"), ("star.fits", "[1:2,1:2,1:2]", "no overlap"),
     ("star.fits", "[9:2,1:2]", "reversed"), ("star.fits", "[0][1:9:2,1:2]", "invalid SUB"),
     ("star.fits", "nonsense", "invalid SUB"), ("star.fits", "[0][]", "invalid SUB")],
)  # fmt: skip
def test_what_cannot_be_cut(files: Files, name: str, sub: str, text: str) -> None:
    assert text in files.refusal(name, SUB=sub)


def test_other_parameters(files: Files) -> None:
    assert "conflicting" in files.refusal("star.fits", SUB="[0]", META="true")
    assert "conflicting" in files.refusal("star.fits", SUB="[0]", CIRCLE="1 2 3")
    assert "not supported" in files.refusal("star.fits", POLYGON="1 2 3 4 5 6")
    for circle in ("1 2", "a b c", "1 91 1", "nan 1 1", "1 1 0"):
        assert "invalid CIRCLE" in files.refusal("star.fits", CIRCLE=circle)
    files.client.fake.put("short.fits", star_field()[:9000])
    assert "ends before its data" in files.refusal("short.fits", SUB="[0][1:2,1:2]")


def test_a_range_does_not_count(files: Files) -> None:
    url = files.client.endpoints("star.fits", "pullFromVoSpace")[0]
    query, part = {"sub": "[0][1:2,1:2]"}, {"Range": "bytes=0-9"}
    answer = files.client.call("GET", url, params=query, headers=part)
    assert (answer.status_code, len(answer.content)) == (200, 2 * BLOCK)


def test_cubes_tables_and_scaled_images(files: Files) -> None:
    import numpy as np

    cube = np.arange(4 * 5 * 6 * 7, dtype=">i4").reshape(4, 5, 6, 7)
    scaled = files.fits.ImageHDU(np.arange(60, dtype="u2").reshape(6, 10), name="SCALED")
    scaled.header["LTV1"] = 0.5
    column = files.fits.Column(name="x", format="J", array=np.arange(9))
    table = files.fits.BinTableHDU.from_columns([column], name="TABLE")
    packed = files.fits.CompImageHDU(np.arange(900, dtype="i2").reshape(30, 30), name="PACKED")
    files.put("all.fits", files.fits.PrimaryHDU(cube), scaled, table, packed)
    for sub, part in (
        ("[*,*,2:3,*]", cube[:, 1:3]),
        ("[*,*,2:3]", cube[:, 1:3]),
        ("[2,3:4,*,4]", cube[3:, :, 2:4, 1:2]),
        ("[3:4]", cube[..., 2:4]),
    ):
        assert (files.get("all.fits", SUB=sub)[0].data == part).all()
    cut = files.get("all.fits", SUB="[SCALED][3:4,2:6]")
    assert cut[0].data.dtype == "u2" and cut[0].data[0, 0] == 12
    assert cut[0].header["LTV1"] == -1.5
    cut = files.get("all.fits", SUB="[2]")
    assert len(cut) == 2 and (cut[1].data["x"] == np.arange(9)).all()
    assert "not an uncompressed image" in files.refusal("all.fits", SUB="[TABLE][1:2,1:2]")
    assert "not an uncompressed image" in files.refusal("all.fits", SUB="[PACKED][1:2,1:2]")
    assert (files.get("all.fits", SUB="[PACKED]")["PACKED"].data[1] == np.arange(30, 60)).all()


def inside(files: Files, hdu: Any, circle: tuple[float, float, float]) -> tuple[slice, slice]:
    """Find the box around the pixels whose centres are in a circle, by brute force."""
    import numpy as np

    y, x = np.mgrid[1 : hdu.data.shape[0] + 1, 1 : hdu.data.shape[1] + 1]
    wcs = files.wcs(hdu.header)
    sky = np.radians(wcs.wcs_pix2world(x, y, 1))
    ra, dec = sky[wcs.wcs.lng], sky[wcs.wcs.lat]
    ra0, dec0, radius = np.radians(circle)
    cosine = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    found = np.argwhere(cosine >= np.cos(radius))
    low, high = found.min(0), found.max(0)
    return slice(low[0], high[0] + 1), slice(low[1], high[1] + 1)


WORLDS: dict[str, dict[str, object]] = {
    "cdelt": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.01, "CDELT2": 0.01},
    "cd": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": -0.008, "CD1_2": 0.006,
           "CD2_1": 0.006, "CD2_2": 0.008},
    "crota": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.01, "CDELT2": 0.02,
              "CROTA2": 30.0},
    "pc": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.01, "CDELT2": 0.02,
           "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "swapped": {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 80.0, "CRVAL2": 0.01,
                "CDELT1": 0.01, "CDELT2": 0.01},
    "linear": {"CTYPE1": "RA", "CTYPE2": "DEC", "CDELT1": -0.01, "CDELT2": 0.01},
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_circle(files: Files, world: str) -> None:
    import numpy as np

    data = np.arange(100 * 120, dtype="f4").reshape(100, 120)
    centre: dict[str, object] = {"CRVAL1": 0.01, "CRVAL2": 80.0, "CRPIX1": 50.5, "CRPIX2": 40.0}
    hdu = files.fits.PrimaryHDU(data)
    hdu.header.update(centre | WORLDS[world])
    files.put("sky.fits", hdu)
    circle = (359.99, 80.05, 0.12)  # across the meridian
    found = files.get("sky.fits", CIRCLE=" ".join(map(str, circle)))[0]
    rows, columns = inside(files, hdu, circle)
    corner = np.argwhere(data == found.data[0, 0])[0]
    for low, size, exact in zip(corner, found.data.shape, (rows, columns), strict=True):
        assert exact.start - 1 <= low <= exact.start  # the circle's edge may be in the next pixel
        assert exact.stop <= low + size <= exact.stop + 1
    files.same_sky(found, hdu, corner[1] + 1, corner[0] + 1)
    assert "no overlap" in files.refusal("sky.fits", CIRCLE="180 -80 0.1")
    assert "no overlap" in files.refusal("sky.fits", CIRCLE="90 70 0.1")
    assert files.get("sky.fits", CIRCLE="0 80 40")[0].data.shape == data.shape


def test_circle_in_a_mosaic_gives_every_image_that_it_touches(files: Files) -> None:
    whole = files.original("mosaic.fits")
    sky = [files.wcs(hdu.header).wcs_pix2world([[20, 20]], 1)[0] for hdu in whole[1:]]
    cut = files.get("mosaic.fits", CIRCLE=f"{sky[1][0]} {sky[1][1]} 0.001")
    assert cut["CHIP2" if len(cut) > 1 else 0].header["EXTNAME"] == "CHIP2"
    every = files.get("mosaic.fits", CIRCLE=f"{sky[1][0]} {sky[1][1]} 2")
    assert [hdu.header.get("EXTNAME") for hdu in every] == [None, "CHIP1", "CHIP2", "CHIP3"]
    files.put("blind.fits", files.fits.PrimaryHDU(whole[1].data))
    assert "no image with celestial" in files.refusal("blind.fits", CIRCLE="1 2 3")


@NEEDS_VOS
def test_unmodified_vos(files: Files, tmp_path: Path) -> None:
    files.client.fake.mkdir("dir")
    files.client.fake.put("dir/image.fits", mosaic())
    files.client.fake.put("dir/star.fits", star_field())
    shell = Shell(files.client, tmp_path)
    shell("vcp", "vault:dir/image.fits[1][10:20,10:20]", "pixels.fits")
    whole = files.original("dir/image.fits")
    found = files.read((tmp_path / "pixels.fits").read_bytes())
    assert (found[0].data == whole[1].data[9:20, 9:20]).all()
    shell("vcp", f"vault:dir/star.fits({CENTRE[0]},{CENTRE[1]},0.002)", "circle.fits")
    found = files.read((tmp_path / "circle.fits").read_bytes())
    star = files.original("dir/star.fits")
    middle = files.wcs(found[0].header).wcs_world2pix([CENTRE], 1)[0]
    assert found[0].data.shape < star[0].data.shape
    assert abs(middle - [(n + 1) / 2 for n in found[0].data.shape[::-1]]).max() <= 1
    shell("vcp", "vault:dir/star.fits[0][9000:9999,1:2]", "none.fits", code=14)


def test_a_column_of_a_large_file_on_disk(make: MakeClient, astro: Any, tmp_path: Path) -> None:
    import numpy as np

    client = make("vault", data=tmp_path / "data")
    files = Files(client, astro)
    data = np.arange(3000 * 1000, dtype="i2").reshape(3000, 1000)
    files.put("large.fits", files.fits.PrimaryHDU(data))
    cut = files.get("large.fits", SUB="[500:501,*]")
    assert (cut[0].data == data[:, 499:501]).all()
