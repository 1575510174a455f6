/** `npm run bench -- [topics] [options]`: which benchmark. */
if (process.argv[2] === 'topics') {
  process.argv.splice(2, 1)
  await import('./topics.js')
} else {
  await import('./run.js')
}
