import Contracts
import Platform
import Sandbox

// What cells and processes are made of.

extension EnvironmentCore {
    func paths(_ image: RuntimeImage) -> EnvironmentPaths {
        guard parts.settings.isolation == .none else { return EnvironmentPaths() }
        return EnvironmentPaths(
            task: function.codeDirectory, runtime: image.directory ?? "/var/runtime",
            layers: function.layersDirectory ?? "/opt")
    }

    /// What the interpreter runs, or the function's own program; nil when it has none.
    func bootstrapPath(_ image: RuntimeImage) -> String? {
        let paths = paths(image)
        if image.interpreter != nil { return paths.runtime + "/" + image.bootstrap }
        if isProgram(function.codeDirectory + "/bootstrap") { return paths.task + "/bootstrap" }
        if let layers = function.layersDirectory, isProgram(layers + "/bootstrap") {
            return paths.layers + "/bootstrap"
        }
        return nil
    }

    func cellSpec(_ image: RuntimeImage) -> CellSpec {
        // Without an own network namespace only the kernel knows which ports are free.
        let ownNetwork = parts.settings.isolation == .namespaces && parts.settings.egress == .isolated
        // The kernel charges what is written to the cell's /tmp as memory, but on AWS that is a disk: the control group
        // has room for both, and `MemoryMeter` sees to the function's own part.
        let ownTmp = parts.settings.isolation == .namespaces
        return CellSpec(
            name: function.name, hostname: "localhost",
            binds: image.binds(code: function.codeDirectory, layers: function.layersDirectory),
            tmpBytes: function.ephemeralStorageMB << 20,
            limits: CellSpec.Limits(
                memoryBytes: (function.memoryMB + (ownTmp ? function.ephemeralStorageMB : 0)) << 20,
                cpuMillis: max(cpuShare, Self.fullCPU),
                processes: Limits.processes, openFiles: Limits.openFiles),
            listeners: [
                CellSpec.Listener(port: ownNetwork ? Limits.runtimeAPIPort : 0),
                CellSpec.Listener(port: ownNetwork ? Limits.endpointPort : 0),
            ],
            isolation: parts.settings.isolation, egress: parts.settings.egress)
    }

    /// `python:3.11.v2`, in the form of AWS's runtime version.
    func runtimeLabel(_ image: RuntimeImage) -> String {
        let isPython = image.runtime.hasPrefix("python")
        let family = isPython ? "python" : image.runtime.hasPrefix("nodejs") ? "nodejs" : "provided"
        if family == "provided" { return "provided:\(image.version.isEmpty ? "al" : image.version).v1" }
        let numbers = image.version.split(separator: ".")
        let named = isPython ? 2 : 1
        return "\(family):\(numbers.prefix(named).joined(separator: ".")).v\(numbers.dropFirst(named).first ?? "0")"
    }

    /// An ARN that is the same for the same runtime.
    func runtimeARN(_ image: RuntimeImage) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a
        var digits = ""
        for round in 0..<4 {
            for byte in "\(round)\(runtimeLabel(image))".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            let text = String(hash, radix: 16)
            digits += String(repeating: "0", count: 16 - text.count) + text
        }
        return "arn:aws:lambda:\(function.scope.region)::runtime:\(digits)"
    }
}
