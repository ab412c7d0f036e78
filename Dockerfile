# syntax=docker/dockerfile:1
# One image for every part: `up`, `api`, `worker`, `migrate`. Pipelines are mounted or copied to /app/pipelines.

FROM python:3.11-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/hookwright
ENV PATH=/opt/hookwright/bin:$PATH
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
# the tools of `make test` stay out of the image: runtime requirements only, in the pinned versions
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --no-deps --require-hashes -r constraints.txt
COPY engine engine
COPY plugins plugins
COPY migrations migrations
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && sed -e 's/ --hash=[^ ]*//; s/ *\\$//' -e '/^ *$/d' constraints.txt > /tmp/pins.txt \
 && pip install --constraint /tmp/pins.txt /dist/*.whl

FROM python:3.11-slim
RUN groupadd --system --gid 10001 hookwright \
 && useradd --system --uid 10001 --gid hookwright --home-dir /app --shell /usr/sbin/nologin hookwright \
 && install -d -o hookwright -g hookwright /app /app/data
COPY --from=build /opt/hookwright /opt/hookwright
COPY --chown=hookwright:hookwright project.yaml /app/project.yaml
COPY --chown=hookwright:hookwright pipelines /app/pipelines
COPY --chown=hookwright:hookwright prompts /app/prompts
WORKDIR /app
USER hookwright
ENV PATH=/opt/hookwright/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOOKWRIGHT_HOST=0.0.0.0 \
    HOOKWRIGHT_PORT=8000 \
    HOOKWRIGHT_DATA_DIR=/app/data \
    HOOKWRIGHT_LOG_FORMAT=json
EXPOSE 8000
VOLUME ["/app/data"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['HOOKWRIGHT_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["hookwright"]
CMD ["up"]
