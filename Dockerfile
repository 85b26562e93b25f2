# The worker of docker-compose.yml: everything of `make setup`, for jobs that need neither a DFT program nor a GPU.
FROM python:3.11-slim-bookworm
# a compiler for the kernel; libcurl, OpenSSL: the embedded mongod, which the image can run as well
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make libcurl4 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/lizrcl
COPY requirements.lock ./
RUN pip install --no-cache-dir --requirement requirements.lock
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY lizrcl_flows lizrcl_flows
RUN pip install --no-cache-dir --no-build-isolation --no-deps .
# the launch folders of jobs and what interrupted calculations left
WORKDIR /data
CMD ["lizrcl", "doctor"]
