import nibabel
import numpy as np

nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), "results/a.nii.gz")
print(nibabel.load("results/a.nii.gz").get_fdata().sum())
