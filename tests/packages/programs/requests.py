import requests

print(requests.Request("GET", "https://example.org", params={"a": "ü"}).prepare().url)
try:
    requests.get("https://192.0.2.1", timeout=1)
except requests.exceptions.ConnectionError:
    print("no network")
