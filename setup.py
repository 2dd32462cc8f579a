"""What the package needs, in parts: a Beam worker installs the base alone."""

from setuptools import find_packages, setup

setup(
    name="nightrank",
    version="0.1.0",
    description="Nightly batch recommendations: score every user x movie pair with a TensorFlow model on Apache Beam.",
    license="Apache-2.0",
    packages=find_packages(include=["model", "model.*", "beam_jobs", "beam_jobs.*"]),
    package_data={
        "beam_jobs.dataflow": ["score_template.json"],
        "beam_jobs.engines": ["pom.xml"],
        "model.card": ["templates/*"],
    },
    entry_points={"console_scripts": ["nightrank = beam_jobs.__main__:main"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "grpcio>=1.66",
        "numpy>=2.1",
        "protobuf>=6.31,<7",
        "pyarrow>=18",
        "rich>=14",
        "tensorflow>=2.21,<2.22",
    ],
    extras_require={
        "train": [
            # tensorflow-datasets imports it without declaring it.
            "importlib_resources",
            "jinja2>=3.1",
            "matplotlib>=3.9",
            "scipy>=1.15",
            # tf.summary, and so the TensorBoard callback, needs it.
            "tensorboard>=2.20",
            "tensorflow-datasets>=4.9.10,<5",
            "tensorflow-recommenders>=0.7.7,<0.8",
            "tf-keras>=2.21,<2.22",
        ],
        "gcp": [
            "apache-beam[gcp]>=2.77,<2.78",
            # With it Beam makes the package of --setup_file; without it Beam tries in vain, and says so.
            "build",
            "google-api-core",
            "google-auth",
            "google-cloud-dataflow-client",
            "google-cloud-storage",
        ],
        "dev": [
            "build",
            "cryptography",
            "gcp-storage-emulator",
            "hypothesis",
            "mypy",
            "packaging",
            "pytest",
            "pytest-xdist",
            "ruff",
        ],
    },
)
