from PIL import Image, ImageDraw, ImageFont, features

picture = Image.new("RGB", (60, 20), "red")
ImageDraw.Draw(picture).text((2, 2), "é", font=ImageFont.load_default())
for kind in ("png", "jpg", "webp", "tiff", "gif"):
    picture.save(f"results/a.{kind}")
    print(Image.open(f"results/a.{kind}").convert("L").size, end=" ")
print(features.check("jpg"), features.check("freetype2"))
