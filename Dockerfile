# docker build -t lorascope . && docker run --gpus all -p 8501:8501 lorascope
# Own models: add  -v /path/to/models:/models:ro -e LORASCOPE_REGISTRY=/models/models.toml
# -p publishes on every interface of the host; -p 127.0.0.1:8501:8501 keeps the dashboard to this machine.

# A plain Python image is enough for GPUs: the Linux wheel of torch brings the CUDA libraries, and `--gpus all` (NVIDIA
# Container Toolkit on the host) adds the driver. Without --gpus the same image runs on the CPU.
FROM python:3.11-slim-bookworm

# What of the driver the toolkit should bring in: CUDA and nvidia-smi.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 lorascope \
    && install -d -o lorascope -g lorascope /data

WORKDIR /app

# Before the code, so that a change of code does not install everything again.
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

# The code stays root's: the server can't change what it runs.
COPY . .

# Everything written goes to /data; numba (inside librosa) wants a cache it may write even under `--user`.
ENV LORASCOPE_CACHE_DIR=/data/cache \
    HF_HOME=/data/huggingface \
    NUMBA_CACHE_DIR=/tmp/numba
VOLUME /data

USER lorascope
EXPOSE 8501

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

# Only in here does it listen on every interface: what reaches it is what -p publishes.
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501"]
