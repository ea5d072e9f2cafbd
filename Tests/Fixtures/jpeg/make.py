"""JPEG files of kinds that TurboJPEG does not write: optimized tables and restart intervals. make.py, with PIL 10.3 or later."""
import math, os, random
from PIL import Image

folder = os.path.dirname(os.path.abspath(__file__))
noise = random.Random(1)


def sample(x, y, c):
    wave = math.sin((x * (c + 1) + y) / 9) + math.sin(x * y / 300) + math.cos(y / (5 + c))
    return int(128 + 40 * wave + noise.gauss(0, 4)) & 255


image = Image.new('RGB', (160, 120))
image.putdata([tuple(sample(x, y, c) for c in range(3)) for y in range(120) for x in range(160)])


def save(name, size, mode='RGB', **options):
    image.resize(size).convert(mode).save(f'{folder}/{name}.jpg', **options)


save('optimized-420-restart-blocks', (83, 61), quality=75, optimize=True, subsampling=2, restart_marker_blocks=3)
save('optimized-422-restart-rows', (70, 50), quality=90, optimize=True, subsampling=1, restart_marker_rows=1)
save('standard-444-restart-rows', (65, 47), quality=60, subsampling=0, restart_marker_rows=1)
save('optimized-gray-restart-block', (45, 33), 'L', quality=50, optimize=True, restart_marker_blocks=1)
save('optimized-inks', (40, 30), 'CMYK', quality=80, optimize=True)
save('optimized-420', (160, 120), quality=97, optimize=True, subsampling=2)
