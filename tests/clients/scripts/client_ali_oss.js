// The vendor's SDK for Node.js, with multipart upload.
"use strict";

const fs = require("fs");
const path = require("path");

const modules = process.env.CLIENT_MODULES;
const OSS = require(path.join(modules, "ali-oss"));
const { version } = require(path.join(modules, "ali-oss", "package.json"));

const env = process.env;
const key = `${env.CLIENT_PREFIX}one.bin`;
const copy = `${env.CLIENT_PREFIX}two.bin`;
const data = fs.readFileSync(env.CLIENT_FILE);
const client = new OSS({
  accessKeyId: env.OSS_ACCESS_KEY_ID,
  accessKeySecret: env.OSS_ACCESS_KEY_SECRET,
  region: `oss-${env.OSS_REGION}`,
  endpoint: env.OSS_ENDPOINT,
  bucket: env.CLIENT_BUCKET,
  authorizationV4: true,
});

function must(good, what) {
  if (!good) throw new Error(what);
}

const steps = {
  upload: () => client.multipartUpload(key, env.CLIENT_FILE, { partSize: 1 << 20 }),
  download: async () => must((await client.get(key)).content.equals(data), "other bytes"),
  list: async () => {
    const found = await client.listV2({ prefix: env.CLIENT_PREFIX, "max-keys": 100 });
    must(found.objects.map((one) => one.name).join() === key, "other keys");
  },
  copy: () => client.copy(copy, key),
  delete: () => client.delete(key),
};

(async () => {
  const found = {};
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
      found[name] = "works";
    } catch (error) {
      found[name] = `${error.name}: ${error.message}`.replace(/\s+/g, " ").slice(0, 300);
    }
  }
  console.log(JSON.stringify({ version, steps: found }));
})();
