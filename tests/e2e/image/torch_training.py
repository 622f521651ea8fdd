"""Trains, saves and plots with the packages of the image pytorch. test_flavors.py runs it in a trial."""

import numpy
import pandas
import torch
import torchvision
from matplotlib import pyplot
from PIL import Image, ImageDraw, ImageFont
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

torch.manual_seed(0)
for library in ("libblas.so.3", "liblapack.so.3"):
    with open(f"/usr/lib/x86_64-linux-gnu/{library}", "rb") as file:
        assert file.read(4) == b"\x7fELF"
with open("/proc/self/maps") as maps:
    assert "libopenblasp" in maps.read()

pictures, classes = torch.randn(64, 3, 64, 64), torch.randint(0, 3, (64,))
model = torchvision.models.resnet18(num_classes=3)
optimizer, loss = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
losses = []
for _ in range(2):
    for batch, wanted in DataLoader(TensorDataset(pictures, classes), batch_size=16, shuffle=True, num_workers=4):
        optimizer.zero_grad()
        error = loss(model(batch), wanted)
        error.backward()
        optimizer.step()
        losses.append(float(error.detach()))
assert min(losses[4:]) < losses[0]

torch.save(model.state_dict(), "results/model.pth")
model.load_state_dict(torch.load("results/model.pth"))
model.eval()
torch.jit.script(model).save("results/model.pt")
assert torch.allclose(torch.jit.load("results/model.pt")(pictures[:2]), model(pictures[:2]), atol=1e-4)
torch.export.export(nn.Linear(2, 2), (torch.randn(1, 2),))
nn.LSTM(4, 8, batch_first=True)(torch.randn(2, 5, 4))[0].sum().backward()
torch.utils.checkpoint.checkpoint(nn.Linear(2, 2), torch.randn(1, 2, requires_grad=True), use_reentrant=False)
assert torchvision.ops.nms(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([1.0]), 0.5).tolist() == [0]

pyplot.plot(losses)
pyplot.title(r"loss $\alpha$")
for kind in ("png", "pdf", "svg"):
    pyplot.savefig(f"results/loss.{kind}")

picture = Image.new("RGB", (64, 64))
ImageDraw.Draw(picture).text((2, 2), "ä", font=ImageFont.load_default())
for kind in ("png", "jpg", "webp", "tif"):
    picture.save(f"/tmp/a.{kind}")
    assert Image.open(f"/tmp/a.{kind}").size == (64, 64)
for kind in ("png", "jpg"):
    assert torchvision.io.read_image(f"/tmp/a.{kind}").shape == (3, 64, 64)
assert transforms.Compose([transforms.Resize(32), transforms.ToTensor()])(picture).shape == (3, 32, 32)

table = numpy.random.default_rng(0).normal(size=(200, 5))
labels = (table[:, 0] > 0).astype(int)
for kind in (GradientBoostingClassifier(), RandomForestClassifier(n_jobs=2)):
    assert kind.fit(table, labels).score(table, labels) > 0.95
pandas.DataFrame(table).to_csv("/tmp/a.csv")
assert pandas.read_csv("/tmp/a.csv").describe().shape == (8, 6)
print("everything works")
