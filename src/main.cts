#!/usr/bin/env node
// CommonJS on purpose: the ESM loader reads files, and so starts libuv's pool, before an ESM entry runs its first
// line. LevelDB, fsync and zlib share that pool, and its four threads are too few (see src/README.md).
process.env.UV_THREADPOOL_SIZE ??= '16'
// Where node has it (22.1 and later), compiled code is kept between starts, which halves what loading costs.
const nodeModule: { enableCompileCache?: () => unknown } = require('node:module')
nodeModule.enableCompileCache?.()

import('./cli/main.js').then(
  ({ main }) => main(process.argv.slice(2)),
  (error: unknown) => {
    console.error(error)
    process.exitCode = 1
  },
)
