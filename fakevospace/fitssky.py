"""Cut-outs of FITS files by position: `CIRCLE=ra dec radius` at the byte service (SODA).

Finds the box of pixels around a circle in the images whose coordinates are understood: right
ascension and declination in degrees, tangential (`TAN`) or linear (no code), with CDi_j, PCi_j and
CDELTi, or CDELTi and CROTAi.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fakevospace.fitscutouts import BadCutout, Cut, is_image, shape
from fakevospace.fitsheaders import Hdu

STEPS = 1440  # points on the circle; the box is short by 2.4e-6 of the radius at most
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle on the sky, degrees."""

    ra: float
    dec: float
    radius: float


def parse_circle(text: str) -> Circle:
    """Read the value of a `CIRCLE` parameter.

    Raises:
        BadCutout: not three numbers that make a circle.
    """
    try:
        ra, dec, radius = (float(word) for word in text.split())
    except ValueError:
        raise BadCutout(f"invalid CIRCLE: {text}") from None
    if not (math.isfinite(ra) and abs(dec) <= 90 and 0 < radius <= 180):
        raise BadCutout(f"invalid CIRCLE: {text}")
    return Circle(ra % 360, dec, radius)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """The celestial coordinates of an image.

    Attributes:
        axes: index (from 0) of the axis of right ascension and of that of declination.
        tangential: gnomonic projection; else linear.
        reference: right ascension and declination of the reference pixel.
        pixel: the reference pixel on the two axes, counted from 1.
        matrix: degrees per pixel: rows ra and dec, columns the two axes.
    """

    axes: tuple[int, int]
    tangential: bool
    reference: Point
    pixel: Point
    matrix: tuple[Point, Point]

    def plane(self, ra: float, dec: float) -> Point | None:
        """Project a position; None when it is not on this side of the sky."""
        ra0, dec0 = self.reference
        if not self.tangential:
            return (ra - ra0 + 180) % 360 - 180, dec - dec0
        away, here, there = math.radians(ra - ra0), math.radians(dec), math.radians(dec0)
        depth = math.sin(there) * math.sin(here)
        depth += math.cos(there) * math.cos(here) * math.cos(away)
        if depth < 1e-6:
            return None
        x = math.cos(here) * math.sin(away) / depth
        y = math.cos(there) * math.sin(here) - math.sin(there) * math.cos(here) * math.cos(away)
        return math.degrees(x), math.degrees(y / depth)

    def at(self, x: float, y: float) -> Point:
        """Return the pixel of a projected position."""
        (a, b), (c, d) = self.matrix
        scale = a * d - b * c
        return (
            self.pixel[0] + (d * x - b * y) / scale,
            self.pixel[1] + (a * y - c * x) / scale,
        )


def coordinates_of(hdu: Hdu) -> Coordinates | None:
    """Return the coordinates of an image, None when it has none that are understood."""
    kinds = {hdu.values.get(f"CTYPE{n}", ""): n for n in range(1, hdu.integer("NAXIS", 0) + 1)}
    for ra, dec in (("RA---TAN", "DEC--TAN"), ("RA", "DEC")):
        if ra in kinds and dec in kinds:
            i, j = kinds[ra], kinds[dec]
            break
    else:
        return None
    if any(hdu.values.get(f"CUNIT{n}", "deg").lower() not in ("deg", "degree") for n in (i, j)):
        return None
    if hdu.number("LONPOLE", 180.0) != 180.0:
        return None
    matrix = _matrix(hdu, i, j)
    found = Coordinates(
        axes=(i - 1, j - 1),
        tangential=ra.endswith("TAN"),
        reference=(hdu.number(f"CRVAL{i}", 0.0), hdu.number(f"CRVAL{j}", 0.0)),
        pixel=(hdu.number(f"CRPIX{i}", 0.0), hdu.number(f"CRPIX{j}", 0.0)),
        matrix=matrix,
    )
    (a, b), (c, d) = matrix
    known = (*found.reference, *found.pixel, a, b, c, d)
    return found if all(map(math.isfinite, known)) and a * d - b * c else None


def _matrix(hdu: Hdu, i: int, j: int) -> tuple[Point, Point]:
    pairs = ((i, i), (i, j), (j, i), (j, j))
    if any(f"CD{m}_{n}" in hdu.values for m, n in pairs):
        a, b, c, d = (hdu.number(f"CD{m}_{n}", 0.0) for m, n in pairs)
        return (a, b), (c, d)
    along, up = hdu.number(f"CDELT{i}", 1.0), hdu.number(f"CDELT{j}", 1.0)
    if any(f"PC{m}_{n}" in hdu.values for m, n in pairs):
        a, b, c, d = (hdu.number(f"PC{m}_{n}", 1.0 if m == n else 0.0) for m, n in pairs)
        return (along * a, along * b), (up * c, up * d)
    turn = math.radians(hdu.number(f"CROTA{j}", 0.0))
    return (
        (along * math.cos(turn), -up * math.sin(turn)),
        (along * math.sin(turn), up * math.cos(turn)),
    )


def cuts_of(hdus: Sequence[Hdu], circle: Circle) -> list[Cut]:
    """Return the boxes around a circle, of each image that it touches.

    Raises:
        BadCutout: no image has coordinates that are understood, or the circle is outside of all.
    """
    known = [(hdu, found) for hdu in hdus if is_image(hdu) and (found := coordinates_of(hdu))]
    if not known:
        raise BadCutout("no image with celestial coordinates (RA, DEC: TAN or linear)")
    cuts = [cut for hdu, found in known if (cut := _cut(hdu, found, circle)) is not None]
    if not cuts:
        raise BadCutout("no overlap with the circle")
    return cuts


def _cut(hdu: Hdu, coordinates: Coordinates, circle: Circle) -> Cut | None:
    ranges = [(0, size) for size in shape(hdu)]
    points = [coordinates.plane(*one) for one in _rim(circle)]
    middle = coordinates.plane(circle.ra, circle.dec)
    seen = [coordinates.at(*one) for one in points if one is not None]
    if not seen and middle is None:
        return None
    finite = all(math.isfinite(one) for point in seen for one in point)
    ends = circle.radius < 90 and len(seen) == len(points)  # on this side of the sky
    if not coordinates.tangential:  # a pole is a line there
        ends = abs(circle.dec) + circle.radius < 90
    if finite and ends:
        for which, axis in enumerate(coordinates.axes):
            first = math.floor(min(one[which] for one in seen) + 0.5)
            last = math.floor(max(one[which] for one in seen) + 0.5)
            ranges[axis] = (max(first, 1) - 1, min(last, ranges[axis][1]))
    if any(start >= end for start, end in ranges):
        return None
    return Cut(hdu, tuple(ranges))


def _rim(circle: Circle) -> list[Point]:
    """Return points on a circle, in degrees."""
    dec, radius = math.radians(circle.dec), math.radians(circle.radius)
    rim = []
    for step in range(STEPS):
        angle = 2 * math.pi * step / STEPS
        height = math.sin(dec) * math.cos(radius)
        height += math.cos(dec) * math.sin(radius) * math.cos(angle)
        east = math.sin(angle) * math.sin(radius) * math.cos(dec)
        north = math.cos(radius) - math.sin(dec) * height
        ra = circle.ra + math.degrees(math.atan2(east, north))
        rim.append((ra, math.degrees(math.asin(max(-1.0, min(1.0, height))))))
    return rim
