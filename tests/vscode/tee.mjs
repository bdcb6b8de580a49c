// Passes a language server's traffic through and writes it down, one JSON line a message: `{"dir": "c2s" | "s2c", "msg"}`.
// node tee.mjs RECORDING PROGRAM [ARGUMENT...]
// With LACUNA_SLOW_END_MS what the server says after `shutdown` comes that much later.

import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';

const [recording, program, ...args] = process.argv.slice(2);
const server = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });

let late = 0;

function pass(from, to, dir) {
  let held = Buffer.alloc(0);
  from.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      const head = held.indexOf('\r\n\r\n');
      if (head < 0) break;
      const length = Number(/content-length: *(\d+)/i.exec(held.subarray(0, head).toString())[1]);
      if (held.length < head + 4 + length) break;
      const msg = JSON.parse(held.subarray(head + 4, head + 4 + length).toString());
      appendFileSync(recording, `${JSON.stringify({ dir, msg })}\n`);
      held = held.subarray(head + 4 + length);
      if (msg.method === 'shutdown') late = Number(process.env.LACUNA_SLOW_END_MS ?? 0);
    }
    if (dir === 's2c' && late > 0) setTimeout(() => to.write(chunk), late);
    else to.write(chunk);
  });
  from.on('end', () => to.end?.());
}
pass(process.stdin, server.stdin, 'c2s');
pass(server.stdout, process.stdout, 's2c');
server.stdin.on('error', () => {});
process.stdout.on('error', () => {});
server.on('exit', (code) => {
  appendFileSync(recording, `${JSON.stringify({ exit: code })}\n`);
  process.exit(code ?? 1);
});
