import { main } from './cli.ts';

// The process of the gateway: `node src/main.ts` serves; any other command of the CLI may be named as well.
const argv = process.argv.slice(2);
await main(argv.length === 0 || argv[0]?.startsWith('--config') === true ? ['serve', ...argv] : argv);
