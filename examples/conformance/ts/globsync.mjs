// The conformance suite imports globSync, which Node.js has since version 22, for a command that is not used here. On Node.js 20 this module,
// given to --import, lets the import succeed.
import * as fs from 'node:fs';
import { register } from 'node:module';

const source = (text) => 'data:text/javascript,' + encodeURIComponent(text);

if (!fs.globSync) {
  const substitute = source(`
    export * from 'node:fs';
    export { default } from 'node:fs';
    export function globSync() { throw new Error('globSync needs Node.js 22'); }
  `);
  register(source(`
    const substitute = ${JSON.stringify(substitute)};
    export function resolve(specifier, context, next) {
      const asked = specifier === 'fs' && /[/]conformance-(preview|released)[/]/.test(context.parentURL ?? '');
      return asked ? { url: substitute, shortCircuit: true } : next(specifier, context);
    }
  `));
}
