import Contracts
import Dispatch
import Glibc
import Logging
import NIOCore
import Platform
import Sandbox
import Wire

// How a cell is made, filled with processes and destroyed: what blocks is done on `queue`, its outcome comes back to the loop.

extension EnvironmentCore {
    func launchCell() {
        switch parts.runtimes.resolve(runtime: function.runtime) {
        case .failure(let unavailable):
            // Lambda's own error for a runtime that is not there.
            let error = AWSError(
                "InvalidRuntimeException", status: 502, unavailable.message, fields: ["Type": "Service"])
            return later { $0.settle($0.machine.cannotStart(.failed(error))) }
        case .success(let image):
            self.image = image
            if let warning = image.warning {
                parts.logger.warning("\(warning)", metadata: ["function": "\(function.name)"])
            }
            launch(image)
        }
    }

    private func launch(_ image: RuntimeImage) {
        guard bootstrapPath(image) != nil else {
            return later { $0.settle($0.machine.cannotStart(.function(.noBootstrap))) }
        }
        if let layers = function.layersDirectory, isDirectory(layers + "/extensions") {
            parts.logger.warning(
                "external extensions are not started by Martlet yet", metadata: ["function": "\(function.name)"])
        }
        let spec = cellSpec(image)
        let (cells, queue, loop, bound) = (parts.cells, queue, loop, bound)
        let onEvent: @Sendable (CellEvent) -> Void = { event in
            // Through the queue: after the start or launch that it belongs to has returned.
            queue.async { loop.execute { bound.value.cellEvent(event) } }
        }
        queue.async {
            let result = Result { try cells.makeCell(spec, onEvent: onEvent) }
            loop.execute { bound.value.launched(result) }
        }
    }

    private func launched(_ result: Result<any EnvironmentCell, any Error>) {
        switch result {
        case .failure(let error):
            parts.logger.error(
                "no cell for a function", metadata: ["function": "\(function.name)", "error": "\(error)"])
            settle(machine.cannotStart(.failed(Failure(.sandbox, "no cell could be made: \(error)", cause: error))))
        case .success(let cell):
            guard cell.listeners.count == 2 else { return giveUp(cell, Failure(.bug, "a cell without its listeners")) }
            self.cell = cell
            let server = RuntimeAPIServer(loop: loop, delegate: self)
            self.server = server
            adoptEndpoint(of: cell)
        }
    }

    /// The Runtime API comes last: when its listener is served, the cell is ready.
    private func adoptRuntimeAPI(of cell: any EnvironmentCell) {
        let bound = bound
        server?.adopt(cell.listeners[0].descriptor).whenComplete { result in
            let core = bound.value
            switch result {
            case .success: core.settle(core.machine.cellReady(now: core.now))
            case .failure(let error): core.giveUp(cell, error)
            }
        }
    }

    private func giveUp(_ cell: any EnvironmentCell, _ error: any Error) {
        endpoint?.close()
        endpoint = nil
        let bound = bound
        queue.async { [loop] in
            cell.destroy()
            loop.execute { bound.value.settle(bound.value.machine.cannotStart(.failed(error))) }
        }
    }

    /// The AWS endpoint inside the cell. A cell without one is given up: a function would hang on its first call.
    private func adoptEndpoint(of cell: any EnvironmentCell) {
        let (endpoint, loop, bound) = (parts.endpoint, loop, bound)
        let identity = CellIdentity(
            scope: function.scope,
            principal: .roleSession(
                roleARN: function.roleARN, sessionName: function.name, account: function.scope.account))
        Task {
            do {
                let adopted = try await endpoint.adopt(listener: cell.listeners[1].descriptor, for: identity)
                loop.execute {
                    bound.value.endpoint = adopted
                    bound.value.adoptRuntimeAPI(of: cell)
                }
            } catch {
                let failure = Failure(.unavailable, "no AWS endpoint in the cell", cause: error)
                loop.execute {
                    close(cell.listeners[0].descriptor)
                    bound.value.giveUp(cell, failure)
                }
            }
        }
    }

    func startRuntime(_ process: UInt32, _ phase: EnvironmentMachine.InitPhase) {
        guard let image, let cell, let program = bootstrapPath(image) else { return }
        pendingExit = nil
        server?.closeConnections()
        armLogTimer(after: Limits.firstLogBeat)
        let wall = parts.time.now()
        logs.append(
            platformLog.initStart(
                phase: phase, version: runtimeLabel(image), versionARN: runtimeARN(image), now: wall))
        let (function, parts, logs, paths, stream) = (function, parts, logs, paths(image), logStream)
        let (loop, bound) = (loop, bound)
        queue.async {
            logs.detach()
            let session = parts.credentials.issue(
                roleARN: function.roleARN, sessionName: function.name, account: function.scope.account,
                lifetime: .seconds(Limits.credentialSeconds), now: wall)
            let variables = EnvironmentVariables(
                function: function, image: image, paths: paths, credentials: session, logStream: stream,
                runtimeAPI: "127.0.0.1:\(cell.listeners[0].port)",
                endpoint: "http://127.0.0.1:\(cell.listeners[1].port)",
                isContained: parts.settings.isolation == .namespaces)
            let spec = ProcessSpec(
                id: process, arguments: (image.interpreter ?? []) + [program], environment: variables.list(),
                workingDirectory: paths.task)
            do {
                // One pipe for both streams keeps their order. It is read from before the process can say anything: a
                // fast one asks for its event before this thread is on the CPU again.
                let output = try Cell.outputPipe()
                defer { close(output.write) }
                logs.attach(output.read, framed: image.writesLogFrames)
                try cell.start(spec, stdout: output.write, stderr: output.write)
            } catch {
                loop.execute { bound.value.startFailed(process, image, program, error) }
            }
        }
    }

    private func startFailed(_ process: UInt32, _ image: RuntimeImage, _ program: String, _ error: any Error) {
        if let error = error as? SandboxError, image.interpreter == nil, error.stage == "execve" {
            // As the Go program that starts runtimes on AWS words it.
            let failure = FunctionFailure(
                "Runtime.InvalidEntrypoint", "fork/exec \(program): \(execErrorText(error.errno))")
            return settle(machine.startFailed(process: process, failure, now: now))
        }
        parts.logger.error(
            "a runtime could not be started", metadata: ["function": "\(function.name)", "error": "\(error)"])
        settle(machine.cellGone(Failure(.sandbox, "the runtime could not be started: \(error)", cause: error)))
    }

    /// The processes first: one that lost its connections before its life would still write about it into the log.
    func destroyCell() {
        timer?.cancel()
        timer = nil
        logTimer?.cancel()
        logTimer = nil
        let (cell, logs, loop, bound) = (cell, logs, loop, bound)
        queue.async {
            cell?.destroy()
            logs.detach()
            loop.execute {
                let core = bound.value
                core.server?.close()
                core.endpoint?.close()
                core.endpoint = nil
                core.settle(core.machine.cellDestroyed())
            }
        }
    }
}
