import imageio.v2 as imageio
import numpy as np

with imageio.get_writer("results/a.mp4", fps=5) as video:
    for number in range(5):
        video.append_data(np.full((64, 64, 3), number * 50, np.uint8))
print(sum(1 for _ in imageio.get_reader("results/a.mp4")))
