internal import Glibc
internal import Platform

/// What a cell sees of the host by default: programs and libraries, and the few files in `/etc` without which those do
/// not work. Nothing of anybody's data.
struct HostFiles: Sendable {
    var binds: [CellSpec.Bind]
    var links: [(text: String, target: String)]

    /// Looked at once; a host does not change its layout while a server runs.
    static let standard = HostFiles(root: "")

    /// `root` is put before every path looked at; for tests.
    init(root: String) {
        binds = [CellSpec.Bind(source: "/usr", target: "/usr")]
        links = []
        for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
            if let text = linkText(root + name) {
                links.append((text, name))
            } else if access(root + name, F_OK) == 0 {
                binds.append(CellSpec.Bind(source: name, target: name))
            }
        }
        // Loader, certificates, time zone, Debian's alternatives, Fedora's certificates and crypto policies, the names
        // of ports and media types.
        var etc = [
            "ld.so.cache", "ssl", "localtime", "alternatives", "pki", "ca-certificates", "crypto-policies", "services",
            "protocols", "mime.types",
        ]
        // Debian's JDKs keep their configuration here and do not start without it.
        etc += Directory.names(in: root + "/etc").filter { $0.hasPrefix("java-") || $0 == "java" }.sorted()
        for name in etc where access(root + "/etc/" + name, R_OK) == 0 {
            binds.append(CellSpec.Bind(source: "/etc/" + name, target: "/etc/" + name, optional: true))
        }
    }

    /// With the host's network its resolver is wanted too.
    static let resolver = CellSpec.Bind(source: "/etc/resolv.conf", target: "/etc/resolv.conf", optional: true)
}
