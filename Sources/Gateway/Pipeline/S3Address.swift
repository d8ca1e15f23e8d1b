import Platform
import Wire

/// Where a request of S3 has its bucket or access point when that is in the host's name.
enum S3Address {
    /// The domain labels of access points at AWS, and the service part of their ARNs.
    private static let accessPointServices = ["s3-accesspoint": "s3", "s3-object-lambda": "s3-object-lambda"]
    /// The service in the credential scope of requests for Object Lambda access points.
    private static let objectLambda = "s3-object-lambda"

    /// The path with the bucket in it; nil when it stays as it was sent. An access point stands in the bucket's place as its
    /// ARN, when host or signature say that it is one; else the service finds out from the name.
    static func path(of head: RequestHead, host: HostName, scope: CredentialScope?) -> String? {
        let path = head.path.isEmpty ? "/" : head.path
        // Its host is the route that the event named.
        if head.method == "POST", path == "/WriteGetObjectResponse", head.header("x-amz-request-route") != nil {
            return nil
        }
        if let index = host.labels.lastIndex(where: { accessPointServices[$0] != nil }), index > 0,
            let service = accessPointServices[host.labels[index]]
        {
            let region = host.region ?? scope?.region ?? AccountRegion.defaultRegion
            guard let arn = arn(host.labels[..<index].joined(separator: "."), service, region) else { return nil }
            return "/" + arn + path
        }
        guard let bucket = host.bucket else { return nil }
        if scope?.service == objectLambda, let arn = arn(bucket, objectLambda, scope?.region) {
            return "/" + arn + path
        }
        return "/" + bucket + path
    }

    /// `NAME-ACCOUNT` as the ARN that it stands for, escaped so that it is one segment of a path.
    private static func arn(_ label: String, _ service: String, _ region: String?) -> String? {
        guard let dash = label.lastIndex(of: "-"), dash != label.startIndex else { return nil }
        let account = label[label.index(after: dash)...]
        guard account.utf8.count == 12, account.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let region = region.flatMap { Region.isWellFormed($0) ? $0 : nil } ?? AccountRegion.defaultRegion
        return "arn:aws:\(service):\(region):\(account):accesspoint%2F\(label[..<dash])"
    }
}
