"""Draws the kernel's logo: change against gap, a falling line through a few points.

Run in this folder with any Python 3; writes logo.svg and the two PNG files from the same shapes.
"""

import struct
import zlib

SIZE = 64
BACKGROUND, AXES, LINE, POINT = (31, 41, 55), (148, 163, 184), (251, 146, 60), (125, 211, 252)
SEGMENTS = [((13, 10), (13, 51), 2.0, AXES), ((13, 51), (54, 51), 2.0, AXES), ((18, 17), (51, 44), 3.5, LINE)]
POINTS = [(20, 25), (28, 19), (33, 36), (41, 29), (47, 46)]
RADIUS = 3.6


def distance(x, y, start, end):
    """Distance of a point from a segment."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)
    t = min(1, max(0, t))
    return ((x - start[0] - t * dx) ** 2 + (y - start[1] - t * dy) ** 2) ** 0.5


def colour(x, y):
    """Colour of the drawing at a place, with opacity."""
    for px, py in POINTS:
        if (x - px) ** 2 + (y - py) ** 2 <= RADIUS**2:
            return (*POINT, 255)
    for start, end, width, tint in reversed(SEGMENTS):
        if distance(x, y, start, end) <= width / 2:
            return (*tint, 255)
    corner = 12
    cx, cy = min(max(x, corner), SIZE - corner), min(max(y, corner), SIZE - corner)
    return (*BACKGROUND, 255) if (x - cx) ** 2 + (y - cy) ** 2 <= corner**2 else (0, 0, 0, 0)


def png(pixels, samples=4):
    """The drawing as PNG, each pixel the mean of samples x samples places."""
    scale, rows = SIZE / pixels, b""
    for row in range(pixels):
        rows += b"\0"
        for column in range(pixels):
            places = [
                colour((column + (i + 0.5) / samples) * scale, (row + (j + 0.5) / samples) * scale)
                for i in range(samples)
                for j in range(samples)
            ]
            opacity = sum(place[3] for place in places)
            tint = [sum(p[k] * p[3] for p in places) // opacity if opacity else 0 for k in range(3)]
            rows += bytes([*tint, opacity // len(places)])

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", pixels, pixels, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def svg():
    """The drawing as SVG."""
    shapes = [f'<rect width="{SIZE}" height="{SIZE}" rx="12" fill="rgb{BACKGROUND}"/>']
    for (x1, y1), (x2, y2), width, tint in SEGMENTS:
        shapes.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="rgb{tint}" '
            f'stroke-width="{width}" stroke-linecap="round"/>'
        )
    shapes += [f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="rgb{POINT}"/>' for x, y in POINTS]
    body = "\n  ".join(shapes)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}">\n  {body}\n</svg>\n'


for pixels in (32, 64):
    with open(f"logo-{pixels}x{pixels}.png", "wb") as file:
        file.write(png(pixels))
with open("logo.svg", "w", encoding="utf-8") as file:
    file.write(svg())
