import cv2
import numpy as np

picture = np.zeros((64, 64, 3), np.uint8)
cv2.circle(picture, (32, 32), 20, (255, 255, 255), -1)
cv2.imwrite("results/a.png", picture)
edges = cv2.Canny(cv2.GaussianBlur(cv2.imread("results/a.png", cv2.IMREAD_GRAYSCALE), (3, 3), 0), 50, 150)
print(cv2.resize(edges, (32, 32)).shape, len(cv2.findContours(edges, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]))
