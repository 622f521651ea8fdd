import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
made.PatientName = "A^B"
made.set_pixel_data(np.full((4, 4), 7, np.uint16), "MONOCHROME2", 16)
made.save_as("results/a.dcm", enforce_file_format=True)
read = pydicom.dcmread("results/a.dcm")
print(read.PatientName, int(read.pixel_array.sum()))
