"""The words of VOSpace and of what it builds on: namespaces, standard identifiers, properties."""

from __future__ import annotations

VOS = "http://www.ivoa.net/xml/VOSpace/v2.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
UWS = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK = "http://www.w3.org/1999/xlink"

# Standard identifiers of the resources that /capabilities lists.
VOSI_CAPABILITIES = "ivo://ivoa.net/std/VOSI#capabilities"
VOSI_AVAILABILITY = "ivo://ivoa.net/std/VOSI#availability"
NODES = "ivo://ivoa.net/std/VOSpace/v2.0#nodes"
TRANSFERS = "ivo://ivoa.net/std/VOSpace/v2.0#transfers"
SYNC_2_0 = "ivo://ivoa.net/std/VOSpace/v2.0#sync"
SYNC_2_1 = "ivo://ivoa.net/std/VOSpace#sync-2.1"
PROPERTIES = "ivo://ivoa.net/std/VOSpace/v2.0#properties"
VIEWS = "ivo://ivoa.net/std/VOSpace/v2.0#views"
PROTOCOLS = "ivo://ivoa.net/std/VOSpace/v2.0#protocols"
FILES = "ivo://ivoa.net/std/VOSpace#files-proto"
RECURSIVE_DELETE = "ivo://ivoa.net/std/VOSpace#recursive-delete-proto"
RECURSIVE_PROPS = "ivo://ivoa.net/std/VOSpace#recursive-nodeprops-proto"
PACKAGE = "vos://cadc.nrc.ca~vospace/CADC/std/Pkg-1.0"

TOKEN = "ivo://ivoa.net/sso#token"
CERTIFICATE = "ivo://ivoa.net/sso#tls-with-certificate"

CORE = "ivo://ivoa.net/vospace/core#"
CADC = "ivo://cadc.nrc.ca/vospace/core#"

LENGTH = CORE + "length"
MD5 = CORE + "MD5"
DATE = CORE + "date"
CONTENT_DATE = CORE + "content-date"
TITLE = CORE + "title"
DESCRIPTION = CORE + "description"
LANGUAGE = CORE + "language"
TYPE = CORE + "type"
FORMAT = CORE + "format"
QUOTA = CORE + "quota"
IS_PUBLIC = CORE + "ispublic"
GROUP_READ = CORE + "groupread"
GROUP_WRITE = CORE + "groupwrite"
IS_LOCKED = CADC + "islocked"
INHERIT = CADC + "inheritPermissions"
READABLE = CADC + "readable"
WRITABLE = CADC + "writable"

PUSH = "pushToVoSpace"
PULL = "pullFromVoSpace"
PULL_TO = "pullToVoSpace"
PUSH_FROM = "pushFromVoSpace"

HTTP_GET, HTTPS_GET = CORE + "httpget", CORE + "httpsget"
HTTP_PUT, HTTPS_PUT = CORE + "httpput", CORE + "httpsput"

CONTAINER = "ContainerNode"
DATA = "DataNode"
LINK = "LinkNode"
