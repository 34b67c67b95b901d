# Fenliu in an image: `docker build -t fenliu .`, then see deploy/compose.yaml or docs/operations.md.
#
# BUILDER is any image with Node and npm; BASE needs the C library alone. Nothing is run in the last stage, so that an image for another architecture
# is built without emulation of it.
ARG BUILDER=docker.io/library/node:24-bookworm-slim
ARG BASE=docker.io/library/debian:bookworm-slim

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /build
# The runtime, which compiles the sources too, wants libatomic.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libatomic1
COPY . .
RUN node tools/setup.mjs
ARG TARGETARCH=amd64
RUN PATH="/build/node_modules/.bin:$PATH" node tools/image.mjs /image "$TARGETARCH" && mkdir -p /data/fenliu

FROM ${BASE}
LABEL org.opencontainers.image.title="Fenliu" \
      org.opencontainers.image.description="A DNS server for a house: mainland-China names to domestic resolvers, others to trusted overseas ones" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
# A folder within the one that is copied: the owner of a destination that is there already would not change.
COPY --from=build --chown=65532:65532 /data/ /var/lib/
ENV PATH=/opt/fenliu/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
WORKDIR /var/lib/fenliu
VOLUME /var/lib/fenliu
EXPOSE 53/udp 53/tcp 853/tcp 9053/tcp 9080/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["fenliu", "query", "localhost", "-c", "/etc/fenliu/fenliu.yaml"]
ENTRYPOINT ["fenliu"]
CMD ["serve", "-c", "/etc/fenliu/fenliu.yaml"]
