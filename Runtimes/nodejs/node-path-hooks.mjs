// Resolution hooks for Nodes that run them on their own thread (before 22.15); see loader.mjs.

let parents = [];

export function initialize(data) {
    parents = data.parents;
}

export async function resolve(specifier, context, nextResolve) {
    try {
        return await nextResolve(specifier, context);
    } catch (error) {
        if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
        for (const parentURL of parents) {
            try {
                return await nextResolve(specifier, { ...context, parentURL });
            } catch { /* the next folder */ }
        }
        throw error;
    }
}
