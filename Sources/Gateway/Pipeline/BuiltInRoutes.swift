import Contracts
import NIOCore
import Wire

/// The server's own pages: health and metrics, before every AWS service. No bucket or dated path begins with `_`.
struct BuiltInRoutes: Sendable {
    let version: String
    let services: [String]
    let metrics: @Sendable () -> String
    let isDraining: @Sendable () -> Bool
    /// Documents that services give links to.
    let downloads: [DownloadRoute]

    func answer(_ request: HTTPRequest) -> HTTPAnswer? {
        let path = request.head.path
        if request.head.method == "GET" || request.isHead,
            let route = downloads.first(where: { path.utf8.starts(with: $0.prefix.utf8) })
        {
            return document(route, String(path.dropFirst(route.prefix.count)))
        }
        guard path.utf8.starts(with: "/_".utf8) else { return nil }
        let isMartlet = path == "/_martlet" || path.hasPrefix("/_martlet/")
        guard isMartlet || path == "/_localstack" || path.hasPrefix("/_localstack/") else { return nil }
        guard request.head.method == "GET" || request.isHead else {
            var answer = json(405, "{\"message\":\"Only GET is allowed here.\"}")
            answer.headers.append((name: "Allow", value: "GET, HEAD"))
            return answer
        }
        switch path {
        case "/_martlet/health": return json(isDraining() ? 503 : 200, health())
        case "/_martlet/metrics":
            return HTTPAnswer(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", text: metrics())
        case "/_localstack/health": return json(200, localStackHealth())
        case "/_localstack/info":
            return json(
                200,
                "{\"version\":\"\(version)\",\"edition\":\"martlet\",\"is_license_activated\":false,"
                    + "\"is_docker\":false}")
        default: return json(404, "{\"message\":\"There is no such page. Try /_martlet/health.\"}")
        }
    }

    private func document(_ route: DownloadRoute, _ name: String) -> HTTPAnswer {
        let headers = [(name: "Content-Type", value: route.contentType)]
        switch route.find(name) {
        case .file(let file):
            return HTTPAnswer(status: 200, headers: headers, body: .files([file.part], release: file.release))
        case .bytes(let bytes):
            return HTTPAnswer(status: 200, headers: headers, body: .bytes(ByteBuffer(bytes: bytes)))
        case nil: return json(403, "{\"message\":\"This link is not valid, or has expired.\"}")
        }
    }

    private func json(_ status: Int, _ text: String) -> HTTPAnswer {
        HTTPAnswer(status: status, contentType: "application/json", text: text)
    }

    private func health() -> String {
        let list = services.map { "\"\($0)\"" }.joined(separator: ",")
        return
            "{\"status\":\"\(isDraining() ? "draining" : "running")\",\"version\":\"\(version)\",\"services\":[\(list)]}"
    }

    /// The shape that tools probe before they use LocalStack.
    private func localStackHealth() -> String {
        let list = services.map { "\"\($0)\":\"running\"" }.joined(separator: ",")
        return "{\"services\":{\(list)},\"edition\":\"martlet\",\"version\":\"\(version)\"}"
    }
}
