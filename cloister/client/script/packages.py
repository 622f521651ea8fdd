"""Packages whose import has another name, and modules that Python no longer has."""

import re

# Import name to package, where the two differ by more than case, - and _: as the projects' instructions for their
# installation say. Of several packages with one import name it is the one that suits the guest.
_PACKAGES = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "absl": "absl-py",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "imblearn": "imbalanced-learn",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "llama_cpp": "llama-cpp-python",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "MySQLdb": "mysqlclient",
    "nacl": "pynacl",
    "osgeo": "gdal",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pylab": "matplotlib",
    "pythonjsonlogger": "python-json-logger",
    "pywt": "pywavelets",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sklearnex": "scikit-learn-intelex",
    "skopt": "scikit-optimize",
    "sksurv": "scikit-survival",
    "slugify": "python-slugify",
    "snappy": "python-snappy",
    "umap": "umap-learn",
    "xgboost": "xgboost-cpu",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}

# "What's New In Python 3.12" and "3.13", "Removed".
REMOVED = {
    "3.12": "asynchat asyncore distutils imp smtpd",
    "3.13": "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap msilib nis nntplib ossaudiodev pipes sndhdr "
    "spwd sunau telnetlib uu xdrlib",
}


def package_of(module: str) -> str:
    """The package that most likely has ``module``, a dotted name."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (found := _PACKAGES.get(".".join(parts[:length]))) is not None:
            return found
    return re.sub(r"[-_.]+", "-", parts[0]).lower()


def removed_in(module: str) -> str | None:
    """The version of Python that removed a top-level module; None if none did up to the guest's."""
    return next((version for version, names in REMOVED.items() if module in names.split()), None)
