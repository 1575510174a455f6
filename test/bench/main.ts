/** `npm run bench -- [topics | saturation | throttle] [options]`: which benchmark. */
const which = process.argv[2]
if (which === 'topics' || which === 'saturation' || which === 'throttle') {
  process.argv.splice(2, 1)
  await import(`./${which}.js`)
} else {
  await import('./run.js')
}
