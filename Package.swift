// swift-tools-version: 6.2
import PackageDescription

#if canImport(Glibc)
    import Glibc
#endif

// The house (see ARCHITECTURE.md). An arrow of imports only ever points down this file.
// Adding a service: a folder in Sources/Services, a row in `services`, a line in Sources/martlet/Server.swift.

// A release starts sooner: nothing of it is for others to link to, and the hundred thousand places that hold an address
// of its own code are packed into a few kilobytes (which the C library must know, as glibc does from 2.36 on).
var releaseLinking = ["-use-ld=lld", "-Xlinker", "--no-export-dynamic"]
#if canImport(Glibc)
    var glibcName = [CChar](repeating: 0, count: 64)
    confstr(numericCast(_CS_GNU_LIBC_VERSION), &glibcName, glibcName.count - 1)
    let glibc = String(cString: glibcName).drop { $0 != " " }.dropFirst().split(separator: ".").compactMap { Int($0) }
    if glibc.count >= 2, (glibc[0], glibc[1]) >= (2, 36) {
        releaseLinking += ["-Xlinker", "-z", "-Xlinker", "pack-relative-relocs"]
    }
#endif

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

// MARK: Outside libraries

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP2: Target.Dependency = .product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let jwtKit: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")

// MARK: Services: one row each; all have the same dependencies, so that none can grow a private one.

let services = [
    "Lambda", "S3", "SQS", "SNS", "Kinesis", "DynamoDB", "APIGateway", "EventBridge", "Scheduler", "CloudWatchLogs",
    "CloudWatch", "CodeCommit", "IAM", "STS", "Alexa",
]
let serviceDependencies: [Target.Dependency] = [
    "Platform", "Wire", "Storage", "Contracts", "EventPatterns", "Schedules", "Policies", "CArchive", nioCore, crypto,
    cryptoExtras, logging, jwtKit, yams,
]

// MARK: Rooms, lowest first

var targets: [Target] = [
    // 0
    .target(name: "Platform", dependencies: [logging], swiftSettings: settings),
    .target(name: "CSandbox", path: "Sources/CSandbox/shim"),
    .executableTarget(
        name: "martlet-cell", path: "Sources/CSandbox/cell",
        cSettings: [.unsafeFlags(["-O2", "-Wall", "-Wextra", "-Werror"])],
        // A static C program: without the Swift runtime, which would cost each cell milliseconds and megabytes.
        linkerSettings: [
            .unsafeFlags([
                "-static-stdlib", "-nostartfiles", "-Xclang-linker", "-static",
                "-Xclang-linker", "-Wno-unused-command-line-argument",
            ])
        ]),
    .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    // 1
    .target(name: "Wire", dependencies: ["Platform", nioCore, crypto], swiftSettings: settings),
    .target(
        name: "Storage", dependencies: ["Platform", grdb, nioCore, crypto, logging], exclude: ["README.md"],
        swiftSettings: settings),
    .target(
        name: "EventPatterns", dependencies: ["Platform"], exclude: ["README.md"], swiftSettings: settings),
    .target(name: "Schedules", dependencies: ["Platform"], exclude: ["README.md"], swiftSettings: settings),
    .target(name: "Sandbox", dependencies: ["Platform", "CSandbox", logging], swiftSettings: settings),
    // 2
    .target(name: "Contracts", dependencies: ["Platform", "Wire", "Storage", nioCore], swiftSettings: settings),
    .target(
        name: "Execution",
        dependencies: ["Platform", "Wire", "Contracts", "Sandbox", nioCore, nioPosix, logging],
        exclude: ["README.md"], swiftSettings: settings),
    .target(
        name: "Policies", dependencies: ["Platform", "Wire", "Storage", "Contracts", nioCore], swiftSettings: settings),
    // 3
    .target(
        name: "EventSources",
        dependencies: ["Platform", "Wire", "Storage", "Contracts", "EventPatterns", nioCore, logging, metrics],
        exclude: ["README.md"], swiftSettings: settings),
    .target(
        name: "Outbound",
        dependencies: ["Platform", "Contracts", nioCore, nioPosix, nioHTTP1, asyncHTTPClient, logging],
        swiftSettings: settings),
    .target(
        name: "Invocation",
        dependencies: ["Platform", "Wire", "Storage", "Contracts", "Execution", nioCore, logging, metrics],
        swiftSettings: settings),
    .target(
        name: "Gateway",
        dependencies: [
            "Platform", "Wire", "Contracts", nioCore, nioPosix, nioHTTP1, nioHTTP2, nioSSL, logging,
            metrics,
        ],
        swiftSettings: settings),
    // 4
    .executableTarget(
        name: "martlet",
        dependencies: [
            "Platform", "Wire", "Storage", "Contracts", "Sandbox", "Execution", "Invocation", "EventSources",
            "Outbound", "Gateway", "Policies", nioCore, nioPosix, nioHTTP1, nioSSL, logging, metrics,
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Configuration", package: "swift-configuration"),
            .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        ] + services.map { .byName(name: $0) },
        swiftSettings: settings, linkerSettings: [.unsafeFlags(releaseLinking, .when(configuration: .release))]),
]

targets.append(
    .executableTarget(
        name: "pattern-bench", dependencies: ["Platform", "EventPatterns"], path: "Benchmarks/EventPatterns",
        swiftSettings: settings))

targets += services.map {
    .target(
        name: $0, dependencies: serviceDependencies, path: "Sources/Services/\($0)", exclude: ["README.md"],
        swiftSettings: settings)
}

// MARK: Tests, one folder a room

let testExtras: [String: [Target.Dependency]] = [
    "Gateway": [nioEmbedded, nioPosix, nioHTTP1], "Execution": [nioEmbedded, nioPosix, nioHTTP1, "Sandbox"],
    "Invocation": ["Execution"], "Sandbox": ["CSandbox"], "S3": [nioEmbedded], "Lambda": [nioEmbedded, "Policies"],
    "IAM": ["Policies"], "CodeCommit": [nioEmbedded],
    "CloudWatchLogs": [nioEmbedded, "CArchive"], "CloudWatch": [nioEmbedded],
    "SQS": [nioEmbedded], "SNS": [nioEmbedded], "EventSources": ["EventPatterns"],
    "Outbound": [nioPosix, nioHTTP1],
    "Kinesis": [nioEmbedded], "DynamoDB": [nioEmbedded], "APIGateway": [nioEmbedded, jwtKit, cryptoExtras],
    "Alexa": [nioEmbedded, cryptoExtras],
    "EventBridge": [nioEmbedded, "EventPatterns", "Schedules"], "Scheduler": [nioEmbedded, "Schedules"],
]
let rooms =
    [
        "Platform", "Wire", "Storage", "EventPatterns", "Schedules", "Contracts", "Policies", "Sandbox", "Execution",
        "Invocation", "EventSources", "Outbound", "Gateway",
    ] + services
targets += rooms.map { room in
    var dependencies: [Target.Dependency] = [.byName(name: room), "Platform", nioCore, logging]
    if !["Platform", "Sandbox", "EventPatterns", "Schedules"].contains(room) { dependencies += ["Wire", "Storage"] }
    if !["Platform", "Wire", "Storage", "Sandbox", "EventPatterns", "Schedules"].contains(room) {
        dependencies += ["Contracts"]
    }
    var seen = Set<String>()
    dependencies = (dependencies + (testExtras[room] ?? [])).filter { seen.insert("\($0)").inserted }
    return .testTarget(name: "\(room)Tests", dependencies: dependencies, swiftSettings: settings)
}
targets.append(.testTarget(name: "HouseTests", swiftSettings: settings))
// What needs namespaces and control groups; run again as an ordinary user when root runs it.
targets.append(
    .testTarget(
        name: "PrivilegedTests", dependencies: ["Platform", "Sandbox", "CSandbox", logging], path: "Tests/Privileged",
        swiftSettings: settings))
// Seeded mutations for every decoder, of whatever room.
targets.append(
    .testTarget(
        name: "FuzzTests",
        dependencies: [
            "Platform", "Wire", "Storage", "Contracts", "Sandbox", "Execution", "Schedules", "EventPatterns",
            "EventSources",
            nioCore,
        ]
            + services.map { .byName(name: $0) },
        swiftSettings: settings))

let package = Package(
    name: "martlet",
    products: [
        .executable(name: "martlet", targets: ["martlet"]),
        .executable(name: "martlet-cell", targets: ["martlet-cell"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: targets
)
