// A small workload under the Node SDK. Prints what it did as JSON: the test looks for the functions named
// ...ForFlamestore in what arrives.
'use strict';

const Pyroscope = require('@pyroscope/nodejs');

const CHUNKS = 2000;
const CHUNK_ELEMENTS = 1000;
const kept = [];

function spinForFlamestore(milliseconds) {
  const until = Date.now() + milliseconds;
  let n = 0;
  while (Date.now() < until) {
    for (let i = 0; i < 100000; i++) n += i % 7;
  }
  return n;
}

function allocateForFlamestore() {
  for (let i = 0; i < CHUNKS; i++) kept.push(new Array(CHUNK_ELEMENTS).fill(i));
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function main() {
  Pyroscope.init({
    serverAddress: process.argv[2],
    appName: 'compat.nodejs',
    flushIntervalMs: 2000,
    tags: { region: 'eu' },
    wall: { samplingDurationMs: 2000, samplingIntervalMicros: 10000, collectCpuTime: true },
    heap: { samplingIntervalBytes: 4096, stackDepth: 64 },
  });
  Pyroscope.start();
  allocateForFlamestore();
  const wall = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  Pyroscope.wrapWithLabels({ phase: 'spin' }, () => console.error(spinForFlamestore(4000)));
  const spun = process.cpuUsage(cpu);
  const spent = process.hrtime.bigint() - wall;
  await pause(100);
  await Pyroscope.stop();
  console.log(JSON.stringify({
    wall_ns: Number(spent),
    cpu_ns: (spun.user + spun.system) * 1000,
    // An element takes 8 bytes, or 4 where pointers are compressed.
    inuse_bytes: CHUNKS * CHUNK_ELEMENTS * 8,
    inuse_count: kept.length,
  }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
