/// A kind of resource that control groups keep.
public enum Controller: String, Sendable, CaseIterable {
    case memory, cpu, pids, freezer
}

/// Where this process's control groups are, read from `/proc/self/mountinfo` and `/proc/self/cgroup`. Pure.
struct ControlGroupLayout: Equatable {
    /// Version 1: the directory of this process's group for each controller that is mounted.
    var v1: [Controller: String] = [:]
    /// Version 2: the directory of this process's group, and the top of what is mounted.
    var v2: (own: String, top: String)?

    static func == (a: ControlGroupLayout, b: ControlGroupLayout) -> Bool {
        a.v1 == b.v1 && a.v2?.own == b.v2?.own && a.v2?.top == b.v2?.top
    }

    init(mountInfo: String, membership: String) {
        // "4:memory:/path" for version 1, "0::/path" for version 2; a path may hold colons.
        var paths: [String: String] = [:]
        for line in membership.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            for name in parts[1].split(separator: ",") { paths[String(name)] = String(parts[2]) }
            if parts[1].isEmpty { paths[""] = String(parts[2]) }
        }
        for line in mountInfo.split(separator: "\n") {
            guard let mount = Mount(line) else { continue }
            if mount.type == "cgroup2", v2 == nil {
                v2 = (mount.directory(of: paths[""] ?? "/"), mount.point)
            } else if mount.type == "cgroup" {
                for controller in Controller.allCases where mount.options.contains(controller.rawValue) {
                    v1[controller] = mount.directory(of: paths[controller.rawValue] ?? "/")
                }
            }
        }
    }

    private struct Mount {
        var root: String
        var point: String
        var type: String
        var options: Set<String>

        /// `36 35 98:0 /root /point rw,… shared:1 - cgroup cgroup rw,memory`
        init?(_ line: Substring) {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return nil }
            root = unescaped(fields[3])
            point = unescaped(fields[4])
            type = String(fields[dash + 1])
            options = Set(fields[dash + 3].split(separator: ",").map(String.init))
        }

        /// A container sees a part of the hierarchy; what is outside it is taken as its top.
        func directory(of path: String) -> String {
            if path == root || path == "/" { return point }
            if root == "/" { return point + path }
            return path.hasPrefix(root + "/") ? point + path.dropFirst(root.count) : point
        }
    }
}

/// mountinfo writes blanks and backslashes as octal.
private func unescaped(_ field: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = field.utf8[...]
    while let byte = rest.popFirst() {
        let digits = rest.prefix(3)
        if byte == UInt8(ascii: "\\"), digits.count == 3, let code = UInt8(String(digits) ?? "", radix: 8) {
            bytes.append(code)
            rest = rest.dropFirst(3)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
