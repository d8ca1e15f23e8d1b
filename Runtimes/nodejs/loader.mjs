// Finds the function that a handler string names, in the order in which AWS looks: CommonJS first, then ES modules.

import { existsSync, readFileSync, statSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { handlerNotFound, importModuleError, malformedHandlerName, userCodeSyntaxError } from './errors.mjs';

const require = createRequire(import.meta.url);
const firstMajorWithTypeScript = 24;

/**
 * Loads the handler `[folder/]file.name[.name…]`.
 * @throws Runtime.MalformedHandlerName, Runtime.ImportModuleError, Runtime.UserCodeSyntaxError,
 *   Runtime.HandlerNotFound, or whatever the function's module throws
 */
export async function loadHandler(taskRoot, handler) {
    if (handler.includes('..')) {
        throw malformedHandlerName(
            `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in ` +
            'handler names.');
    }
    const lastPart = path.basename(handler);
    const folder = handler.slice(0, handler.indexOf(lastPart));
    const dot = lastPart.indexOf('.');
    if (dot < 0) throw malformedHandlerName('Bad handler');
    const fileName = lastPart.slice(0, dot);
    const names = lastPart.slice(dot + 1).split('.');

    const loaded = await loadModule(taskRoot, folder, fileName);
    const found = member(loaded, names) || member(loaded?.default, names);
    if (!found) throw handlerNotFound(`${handler} is undefined or not exported`);
    if (typeof found !== 'function') throw handlerNotFound(`${handler} is not a function`);
    return found;
}

const member = (object, names) => names.reduce((value, name) => value && value[name], object);

async function loadModule(taskRoot, folder, fileName) {
    try {
        return await firstThatExists(taskRoot, folder, fileName);
    } catch (error) {
        if (error instanceof SyntaxError) throw userCodeSyntaxError(error);
        if (error?.code === 'MODULE_NOT_FOUND') throw importModuleError(error);
        throw error;
    }
}

async function firstThatExists(taskRoot, folder, fileName) {
    const base = path.resolve(taskRoot, folder, fileName);
    const isModule = packageTypeIsModule(path.dirname(base));
    const typeScript = Number(process.versions.node.split('.', 1)[0]) >= firstMajorWithTypeScript;
    const candidates = [
        ['', required],
        ['.js', isModule ? imported : required],
        ['.mjs', imported],
        ['.cjs', required],
        ...(typeScript ? [['.ts', isModule ? imported : required], ['.mts', imported], ['.cts', required]] : []),
    ];
    for (const [extension, load] of candidates) {
        const file = base + extension;
        if (statSync(file, { throwIfNoEntry: false })?.isFile()) return load(file);
    }
    // A folder with an index file, or a package in node_modules or a layer.
    return require(require.resolve(existsSync(base) ? base : fileName, { paths: [taskRoot, path.resolve(taskRoot, folder)] }));
}

const required = (file) => require(file);

async function imported(file) {
    resolveModulesByNodePath();
    return import(pathToFileURL(file).href);
}

/** Whether the nearest package.json makes .js files ES modules. */
function packageTypeIsModule(folder) {
    for (let current = folder; ; current = path.dirname(current)) {
        if (current.endsWith('/node_modules')) return false;
        const file = path.join(current, 'package.json');
        if (existsSync(file)) {
            try {
                return JSON.parse(readFileSync(file, 'utf8'))?.type === 'module';
            } catch (error) {
                console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
                return false;
            }
        }
        if (current === path.dirname(current)) return false;
    }
}

/** Lets ES modules find packages of layers too: Node itself searches NODE_PATH for CommonJS alone, AWS for both
 *  (since nodejs18.x). Hooks cost a thread in older Nodes, so only when there is something to find. */
function resolveModulesByNodePath() {
    const folders = (process.env.NODE_PATH ?? '').split(path.delimiter).filter((folder) => folder && existsSync(folder));
    if (folders.length === 0) return;
    const parents = folders.map((folder) => pathToFileURL(path.join(path.dirname(folder), 'layer.mjs')).href);
    if (typeof module.registerHooks === 'function') {
        module.registerHooks({
            resolve(specifier, context, nextResolve) {
                try {
                    return nextResolve(specifier, context);
                } catch (error) {
                    if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
                    for (const parentURL of parents) {
                        try {
                            return nextResolve(specifier, { ...context, parentURL });
                        } catch { /* the next folder */ }
                    }
                    throw error;
                }
            },
        });
    } else {
        module.register('./node-path-hooks.mjs', { parentURL: import.meta.url, data: { parents } });
    }
}
