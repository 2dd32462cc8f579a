"""What the package needs, in parts: a Beam worker installs the base alone."""

from setuptools import find_packages, setup

setup(
    name="nightrank",
    version="0.1.0",
    description="Nightly batch recommendations: score every user x movie pair with a TensorFlow model on Apache Beam.",
    license="Apache-2.0",
    packages=find_packages(include=["model", "model.*", "beam_jobs", "beam_jobs.*"]),
    package_data={"beam_jobs.engines": ["pom.xml"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "pyarrow>=18",
        "tensorflow>=2.21,<2.22",
    ],
    extras_require={
        "train": [
            # tensorflow-datasets imports it without declaring it.
            "importlib_resources",
            "matplotlib>=3.9",
            # tf.summary, and so the TensorBoard callback, needs it.
            "tensorboard>=2.20",
            "tensorflow-datasets>=4.9.10,<5",
            "tensorflow-recommenders>=0.7.7,<0.8",
            "tf-keras>=2.21,<2.22",
        ],
        # With `build` Beam makes the package of --setup_file; without it it tries in vain, and says so.
        "gcp": ["apache-beam[gcp]>=2.77,<2.78", "build"],
        "dev": ["gcp-storage-emulator", "hypothesis", "mypy", "pytest", "pytest-xdist", "ruff"],
    },
)
