import h5py
import numpy as np

with h5py.File("results/a.h5", "w") as file:
    file.create_dataset("x", data=np.arange(6).reshape(2, 3), compression="gzip")
with h5py.File("results/a.h5") as file:
    print(file["x"][1].tolist())
