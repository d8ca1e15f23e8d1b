// AWS_LAMBDA_EXEC_WRAPPER: an executable, usually of a layer, that starts the runtime in our place.

import { constants } from 'node:os';
import { spawn } from 'node:child_process';

const exitNotFound = 127; // a shell's, as AWS's own bootstrap is one
const exitNotExecutable = 126;

/** Becomes the wrapper, with the interpreter and its arguments as the wrapper's own. Never returns. */
export function becomeWrapper(wrapper) {
    const environment = { ...process.env, _MARTLET_WRAPPED: '1' };
    const command = [process.execPath, ...process.execArgv, process.argv[1]];
    if (typeof process.execve === 'function') {
        try {
            process.execve(wrapper, [wrapper, ...command], environment);
        } catch (error) {
            failed(wrapper, error);
        }
        return new Promise(() => {});
    }
    // Before Node 23.11 a process cannot replace itself: stay, and pass on signals and the end.
    const child = spawn(wrapper, command, { env: environment, stdio: 'inherit' });
    child.on('error', (error) => failed(wrapper, error));
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(signal));
    child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
    return new Promise(() => {});
}

function failed(wrapper, error) {
    console.error(`AWS_LAMBDA_EXEC_WRAPPER ${wrapper}: ${error.message}`);
    process.exit(error.code === 'ENOENT' ? exitNotFound : exitNotExecutable);
}
