import Contracts
import Glibc
import Platform
import Testing

@testable import Execution

struct CatalogTests {
    /// A root with directories of these names and descriptions; removed by hand because it is nested.
    private func withCatalog(_ runtimes: [(String, String)], _ body: (RuntimeCatalog) throws -> Void) throws {
        let root = try TemporaryDirectory()
        for (name, text) in runtimes {
            mkdir(root.path + "/" + name, 0o755)
            try root.write(name + "/runtime.json", text)
        }
        try body(RuntimeCatalog(root: root.path))
        for (name, _) in runtimes {
            unlink(root.path + "/" + name + "/runtime.json")
            rmdir(root.path + "/" + name)
        }
    }

    private func python(_ version: String) -> String {
        #"{"interpreter":"/bin/sh","arguments":["-S"],"bootstrap":"bootstrap.py","version":"\#(version)","prefixes":["/usr","/opt/python"]}"#
    }

    @Test func exactElseNearestNewer() throws {
        try withCatalog([
            ("python3.9", python("3.9.18")), ("python3.11", python("3.11.2")), ("python3.13", python("3.13.0")),
            ("nodejs", #"{"interpreter":"/bin/sh","version":"20.20.2"}"#), ("broken", "x"), ("python3.8", "{"),
        ]) { catalog in
            let exact = try catalog.resolve(runtime: "python3.11").get()
            #expect(exact.version == "3.11.2" && exact.warning == nil)
            #expect(exact.interpreter == ["/bin/sh", "-S"])
            #expect(exact.prefixes == ["/opt/python"], "/usr is in every cell")
            let newer = try catalog.resolve(runtime: "python3.12").get()
            #expect(newer.version == "3.13.0")
            #expect(newer.warning == "python3.12 is not on this host: Python 3.13.0 runs the function instead")
            #expect(try catalog.resolve(runtime: "nodejs18.x").get().warning != nil)
            #expect(try catalog.resolve(runtime: "nodejs20.x").get().warning == nil)
            for runtime in ["python3.14", "nodejs22.x", "java21", "pythonx", "", "ruby3.4"] {
                guard case .failure(let missing) = catalog.resolve(runtime: runtime) else {
                    if runtime != "pythonx" { Issue.record("\(runtime) must not run") }
                    continue
                }
                #expect(!missing.message.isEmpty)
            }
            #expect(catalog.problems.count == 1)
            #expect(catalog.report.contains("python 3.11.2: /bin/sh"))
            #expect(try catalog.resolve(runtime: "provided.al2023").get().interpreter == nil)
        }
    }

    @Test func noRoot() {
        let catalog = RuntimeCatalog(root: "/nonexistent")
        #expect(catalog.entries.isEmpty)
        #expect(catalog.problems.first?.contains("make setup") == true)
    }

    @Test func variables() throws {
        let image = RuntimeImage(
            directory: "/r", interpreter: ["/opt/py/bin/python3"], bootstrap: "bootstrap.py", prefixes: ["/opt/py"],
            version: "3.12.1", runtime: "python3.12", warning: nil)
        let function = makeFunction(
            code: "/c", runtime: "python3.12", handler: "index.handler",
            environment: [("A", "1"), ("PATH", "/mine"), ("_HANDLER", "no"), ("", "x"), ("B=C", "x"), ("Z", "a\0b")],
            format: .json)
        let list = EnvironmentVariables(
            function: function, image: image, paths: EnvironmentPaths(),
            credentials: FixedCredentials().issue(
                roleARN: "r", sessionName: "s", account: "0", lifetime: .seconds(1), now: Instant(milliseconds: 0)),
            logStream: "stream", runtimeAPI: "127.0.0.1:9001", endpoint: "http://127.0.0.1:4566", isContained: true
        ).list()
        let values = Dictionary(list.map { ($0.name, $0.value) }, uniquingKeysWith: { _, _ in "twice" })
        #expect(list.count == values.count)
        #expect(values["A"] == "1" && values["PATH"] == "/mine" && values["_HANDLER"] == "index.handler")
        #expect(values["Z"] == nil && values["B=C"] == nil)
        #expect(
            values["LD_LIBRARY_PATH"]
                == "/opt/py/lib:/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
        )
        #expect(values["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12")
        #expect(values["AWS_LAMBDA_LOG_LEVEL"] == "INFO" && values["AWS_LAMBDA_LOG_FORMAT"] == "JSON")
        #expect(
            values["PYTHONPATH"] == "/var/runtime" && values["TZ"] == ":UTC"
                && values["LAMBDA_TASK_ROOT"] == "/var/task")
    }
}
