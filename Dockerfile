# The container image of Latchkey: the program, the server programs of PostgreSQL, and the files that both need.
#
#   docker build -t latchkey .                     builds the program from the source
#   docker build -t latchkey --target prebuilt .   takes the unpacked archive of a release in dist/amd64 or dist/arm64, whichever fits
#
# docs/containers.md describes how to use the image.

FROM debian:trixie-slim AS files
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates postgresql-17 \
 && rm -rf /var/lib/apt/lists/*

# Collects the files of the image in /files: the programs with the libraries that they are linked with, and a shell, because
# initdb starts postgres with one. The package of PostgreSQL as a whole needs Perl and LLVM, which Latchkey does not use.
# /var/lib/dpkg/status.d and /usr/share/doc name the packages that the files are from, for scanners and for their licences.
RUN postgresql=/usr/lib/postgresql/17 share=/usr/share/postgresql/17 \
 && programs=("$postgresql"/bin/{initdb,postgres} "$postgresql"/lib/{dict_snowball,plpgsql}.so /usr/bin/dash) \
 && mapfile -t libraries < <( \
      ldd "${programs[@]}" | awk '$2 == "=>" { print $3 } $1 ~ /^\// && NF == 2 { print $1 }' | sort -u | \
      while read -r library; do echo "$(realpath "$(dirname "$library")")/$(basename "$library")"; done) \
 && mapfile -t data < <( \
      find "$share" -type f ! -path '*/extension/*' ! -path '*/man/*'; find "$share"/extension -name 'plpgsql*'; \
      find /usr/share/zoneinfo ! -type d) \
 && mkdir -p /files/{dev,etc/ssl/certs,proc,sys,usr/{bin,lib,lib64,sbin}} /files/var/lib/dpkg/status.d \
 && ln -s usr/bin usr/lib usr/lib64 usr/sbin /files/ \
 && ln -s dash /files/usr/bin/sh \
 && cp --parents --no-dereference --preserve=mode "${data[@]}" /files/ \
 && cp --parents --dereference --preserve=mode "${programs[@]}" "${libraries[@]}" /files/ \
 && cp /etc/nsswitch.conf /etc/os-release /files/etc/ \
 && cp /etc/ssl/certs/ca-certificates.crt /files/etc/ssl/certs/ \
 && mapfile -t packages < <(dpkg-query -S "${programs[@]}" "${libraries[@]}" "${data[@]}" | cut -d: -f1 | sort -u) \
 && for package in base-files ca-certificates "${packages[@]}"; do \
      dpkg-query -s "$package" > "/files/var/lib/dpkg/status.d/$package"; \
      cp --parents "/usr/share/doc/$package/copyright" /files/; \
    done \
 && echo 'root:x:0:0:root:/:/usr/sbin/nologin' > /files/etc/passwd \
 && echo 'latchkey:x:10001:10001:Latchkey:/var/lib/latchkey:/usr/sbin/nologin' >> /files/etc/passwd \
 && printf 'root:x:0:\nlatchkey:x:10001:\n' > /files/etc/group \
 && install -d -m 1777 /files/tmp \
 && install -d -m 0700 -o 10001 -g 10001 /files/var/lib/latchkey

FROM scratch AS runtime
COPY --from=files /files/ /
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/latchkey/
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    XDG_DATA_HOME=/var/lib \
    LATCHKEY_HOST=0.0.0.0 \
    LATCHKEY_CONTROL_PLANE=open \
    LATCHKEY_EPHEMERAL=true
LABEL org.opencontainers.image.title="Latchkey" \
      org.opencontainers.image.description="A local stand-in for the Seam API, for smart-lock access codes" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# A number, so that Kubernetes can check that it is not root.
USER 10001:10001
EXPOSE 7326
# Without the first checks soon after the start, those who wait for a healthy container would wait for the interval.
HEALTHCHECK --interval=2s --timeout=10s --start-period=60s --retries=3 CMD ["latchkey", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["latchkey"]

FROM runtime AS prebuilt
ARG TARGETARCH
COPY dist/${TARGETARCH}/THIRD-PARTY-LICENSES /usr/share/doc/latchkey/
COPY --chmod=755 dist/${TARGETARCH}/latchkey /usr/local/bin/latchkey

FROM rust:1.95-slim-trixie AS build
WORKDIR /latchkey
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cargo build --release --locked \
 && strip target/release/latchkey \
 && .ci/licenses > THIRD-PARTY-LICENSES

FROM runtime
COPY --from=build /latchkey/THIRD-PARTY-LICENSES /usr/share/doc/latchkey/
COPY --from=build /latchkey/target/release/latchkey /usr/local/bin/latchkey
