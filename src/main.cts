#!/usr/bin/env node

// CommonJS on purpose: the ESM loader reads files, and so starts libuv's pool, before an ESM entry runs its first
// line. LevelDB, fsync and zlib share that pool, and its four threads are too few (see src/README.md).
process.env.UV_THREADPOOL_SIZE ??= '16'
// Where node has it (22.1 and later), compiled code is kept between starts, which saves a fifth of what loading costs.
// Not in node's own place, the system's temporary directory, where others may write.
const nodeModule: { enableCompileCache?: (directory: string) => unknown } = require('node:module')
nodeModule.enableCompileCache?.(`${__dirname}/../.cache/compiled`)

import('./cli/main.js').then(
  ({ main }) => main(process.argv.slice(2)),
  (error: unknown) => {
    console.error(error)
    process.exitCode = 1
  },
)
