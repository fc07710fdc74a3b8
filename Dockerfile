# One image for every process of the farm; docker-compose.yml says which one a container runs.
# `npm run images:pin` writes the digest of each image behind its tag, so that a build always takes the same one.
#   docker build -t lipsync-farm .
#   docker build -t lipsync-farm:cuda --target cuda .     NVIDIA GPUs, Linux x64

FROM node:24-bookworm-slim AS farm
RUN apt-get update \
  && apt-get install -y --no-install-recommends ffmpeg tini \
  && rm -rf /var/lib/apt/lists/*
# Everything is in the image: scripts/setup.mjs has nothing to do, onnxruntime-node nothing to download.
ENV NODE_ENV=production FARM_SKIP_SETUP=1 ONNXRUNTIME_NODE_INSTALL=skip
# As `farm up` sets them for its processes.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=8388608 MALLOC_TRIM_THRESHOLD_=67108864
WORKDIR /farm
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force
COPY . .
# The demo avatar, and the folder that a fresh volume takes its owner from.
RUN node avatars/demo/build.ts && mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8080 50053
ENTRYPOINT ["tini", "--"]
CMD ["node", "api/main.ts"]

# The same farm on CUDA 12 and cuDNN 9, with onnxruntime-node's CUDA libraries.
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 AS cuda
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates ffmpeg tini \
  && rm -rf /var/lib/apt/lists/*
COPY --from=farm /usr/local/bin/node /usr/local/bin/node
COPY --from=farm /farm /farm
ENV NODE_ENV=production FARM_SKIP_SETUP=1 MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=8388608 MALLOC_TRIM_THRESHOLD_=67108864
WORKDIR /farm
# Ubuntu's image has a user of id 1000 too, so that both images write the same volume.
RUN node scripts/setup-cuda.mjs && mkdir /data && chown 1000:1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 8080 50053
ENTRYPOINT ["tini", "--"]
CMD ["node", "--max-semi-space-size=4", "worker/main.ts", "--gpu", "0"]

# The last stage is what a plain `docker build` makes.
FROM farm
