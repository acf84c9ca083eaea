FROM python:3.13-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends qemu-utils \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/vmclone
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY app app
COPY workers workers
COPY migrations migrations
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && useradd --system --create-home --home-dir /var/lib/vmclone vmclone \
 && install --directory --mode 700 --owner vmclone --group vmclone /var/lib/vmclone/keys

USER vmclone
ENTRYPOINT ["vmclone"]
CMD ["api"]
