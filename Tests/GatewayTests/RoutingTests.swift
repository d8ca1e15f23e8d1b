import Platform
import Testing
import Wire

@testable import Gateway

@Suite struct HostNameTests {
    @Test(
        arguments: [
            ("localhost:4566", nil, nil, nil), ("127.0.0.1:4566", nil, nil, nil), ("[::1]:4566", nil, nil, nil),
            ("", nil, nil, nil),
            ("example.com", nil, nil, nil), ("10.0.0.7", nil, nil, nil),
            ("lambda.us-east-1.amazonaws.com", "lambda", nil, "us-east-1"),
            ("LAMBDA.eu-west-1.localhost.localstack.cloud:4566", "lambda", "lambda.eu-west-1", "eu-west-1"),
            ("sts.amazonaws.com", "sts", nil, nil), ("s3.amazonaws.com", "s3", nil, nil),
            ("s3.us-west-2.amazonaws.com", "s3", nil, "us-west-2"), ("s3.localhost:4566", "s3", nil, nil),
            ("photos.s3.amazonaws.com", "s3", "photos", nil),
            ("my.photos.s3.eu-central-1.amazonaws.com", "s3", "my.photos", "eu-central-1"),
            ("photos.s3-us-west-2.amazonaws.com", "s3", "photos", "us-west-2"),
            ("photos.s3.localhost.localstack.cloud:4566", "s3", "photos", nil),
            ("photos.localhost:4566", "photos", "photos", nil),
            ("s3-data.localhost", "s3-data", "s3-data", nil), ("123photos.localhost", "123photos", "123photos", nil),
            ("my.s3.bucket.s3.localhost", "s3", "my.s3.bucket", nil), ("photos.box.internal", "photos", "photos", nil),
            ("a..b.localhost", nil, nil, nil), ("a%2f.localhost", nil, nil, nil),
        ] as [(String, String?, String?, String?)])
    func reads(_ host: String, endpoint: String?, bucket: String?, region: String?) {
        let name = HostName(host, baseDomains: ["box.internal"])
        #expect(name.endpointPrefix == endpoint)
        #expect(name.bucket == bucket)
        #expect(name.region == region)
        #expect(name.dataPlane == nil)
    }

    @Test func dataPlanes() {
        #expect(HostName("abc.lambda-url.us-east-1.localhost:4566").dataPlane == "lambda-url")
        #expect(HostName("abc.execute-api.eu-west-1.amazonaws.com").dataPlane == "execute-api")
        #expect(HostName("lambda-url.localhost").dataPlane == nil)
    }

    @Test func pathsOfOtherEmulators() {
        let found = HostName.inPath("/restapis/AB12/prod/_user_request_/a/b%2Fc")
        #expect(found?.host.labels == ["ab12", "execute-api"] && found?.rest == "/prod/a/b%2Fc")
        #expect(HostName.inPath("/restapis/ab12/prod/_user_request_")?.rest == "/prod")
        for path in [
            "/restapis", "/restapis/x/resources/y", "/restapis//prod/_user_request_/", "/restapis/x/s/_user_requests_",
        ] {
            #expect(HostName.inPath(path) == nil, "\(path)")
        }
    }

    @Test func regions() {
        for good in ["us-east-1", "us-gov-west-1", "ap-southeast-12"] { #expect(Region.isAWSName(good)) }
        for bad in ["", "us", "us-east", "localhost", "a-b-c", "us--1", "useast-1-1-1-1", "my-bucket-1"] {
            #expect(!Region.isAWSName(bad))
        }
    }
}

@Suite struct ServiceTableTests {
    private static let names = ["lambda", "s3", "logs", "sts", "iam", "sqs", "sns-a", "sns-b"]
    private let table = ServiceTable([
        ServiceKey(
            id: "lambda", signingName: "lambda", endpointPrefix: "lambda", apiVersion: "2015-03-31", targetPrefix: "",
            speaksQuery: false, datedRoots: ["event-source-mappings", "functions", "layers"]),
        ServiceKey(
            id: "s3", signingName: "s3", endpointPrefix: "s3", apiVersion: "2006-03-01", targetPrefix: "",
            speaksQuery: false),
        ServiceKey(
            id: "logs", signingName: "logs", endpointPrefix: "logs", apiVersion: "2014-03-28",
            targetPrefix: "Logs_20140328", speaksQuery: false),
        ServiceKey(
            id: "sts", signingName: "sts", endpointPrefix: "sts", apiVersion: "2011-06-15", targetPrefix: "",
            speaksQuery: true),
        ServiceKey(
            id: "iam", signingName: "iam", endpointPrefix: "iam", apiVersion: "2010-05-08", targetPrefix: "",
            speaksQuery: true),
        ServiceKey(
            id: "sqs", signingName: "sqs", endpointPrefix: "sqs", apiVersion: "2012-11-05", targetPrefix: "AmazonSQS",
            speaksQuery: true),
        ServiceKey(
            id: "sns-a", signingName: "shared", endpointPrefix: "sns-a", apiVersion: "1", targetPrefix: "TargetA",
            speaksQuery: false, openActions: ["Confirm"]),
        ServiceKey(
            id: "sns-b", signingName: "shared", endpointPrefix: "sns-b", apiVersion: "1", targetPrefix: "TargetB",
            speaksQuery: false),
    ])

    private func resolve(
        _ method: String = "GET", _ path: String = "/", query: String = "", host: String = "localhost:4566",
        scope: String? = nil, headers: [(name: String, value: String)] = []
    ) -> String {
        let head = RequestHead(method: method, path: path, query: query, headers: headers)
        switch table.resolve(head, host: HostName(host), scope: scope) {
        case .service(let index): return ServiceTableTests.names[index]
        case .dataPlane(let label): return "data \(label)"
        case .formBody: return "form"
        case .unknown(let name): return "unknown \(name)"
        }
    }

    @Test func credentialScopeComesFirst() {
        #expect(resolve("GET", "/2015-03-31/functions", scope: "s3") == "s3")
        #expect(resolve("POST", "/", scope: "logs") == "logs")
        #expect(resolve(scope: "dynamodb") == "unknown dynamodb")
        #expect(resolve("POST", "/", scope: "shared", headers: [("x-amz-target", "TargetB.Publish")]) == "sns-b")
        #expect(resolve("POST", "/", scope: "shared") == "sns-a")
    }

    @Test func signedFunctionURLsAreNotLambdasAPI() {
        #expect(resolve(host: "abc.lambda-url.us-east-1.localhost", scope: "lambda") == "data lambda-url")
    }

    @Test func targetsThenHosts() {
        #expect(resolve("POST", headers: [("x-amz-target", "Logs_20140328.CreateLogGroup")]) == "logs")
        #expect(
            resolve("POST", headers: [("x-amz-target", "DynamoDB_20120810.PutItem")]) == "unknown DynamoDB_20120810")
        #expect(resolve("POST", headers: [("x-amz-target", "nonsense")]) == "unknown nonsense")
        #expect(resolve(host: "sts.us-east-1.amazonaws.com") == "sts")
        #expect(resolve(host: "kinesis.us-east-1.amazonaws.com") == "unknown kinesis")
        #expect(resolve(host: "photos.localhost:4566") == "s3")
        #expect(resolve(host: "photos.s3.localhost.localstack.cloud") == "s3")
    }

    @Test func formsCBORAndDatedPaths() {
        #expect(resolve(query: "Action=GetCallerIdentity&Version=2011-06-15") == "sts")
        let form: [(name: String, value: String)] = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        ]
        #expect(resolve("POST", headers: form) == "form")
        #expect(resolve("POST", "/bucket", headers: form) == "s3")
        #expect(table.resolve(form: "Action=ListRoles&Version=2010-05-08") == .service(4))
        #expect(table.resolve(form: "Version=1999-01-01") == .unknown("version 1999-01-01"))
        #expect(table.resolve(form: "VersionX=1&Action=Foo") == .unknown("Foo"))
        #expect(resolve("POST", "/service/Logs_20140328/operation/PutLogEvents") == "logs")
        #expect(resolve("POST", "/2015-03-31/functions/f/invocations") == "lambda")
        #expect(resolve("GET", "/2018-10-31/layers") == "lambda")
        #expect(resolve("GET", "/2031-01-01/functions/f/new-thing") == "lambda")
        #expect(resolve("GET", "/2015-03-31/holiday.jpg") == "s3")
        #expect(resolve("GET", "/2015-03-31") == "s3")
    }

    @Test func linksNameOnlyTheirAction() {
        #expect(resolve(query: "Action=Confirm&Token=1") == "sns-a")
        #expect(resolve(query: "Action=Other&Token=1") == "s3")
        #expect(resolve("GET", "/bucket", query: "Action=Confirm") == "s3")
    }

    @Test(arguments: [
        ("/v2/apis", "v2"), ("/restapis/x/resources", "v1"), ("/tags/arn", "v1"), ("/v2/tags/arn", "v2"), ("/v2", "v1"),
    ])
    func twoVersionsOfOneNameAreToldApartByPath(path: String, version: String) {
        let keys = ["apigatewayv2", "apigateway"].map {
            ServiceKey(
                id: $0, signingName: "apigateway", endpointPrefix: "apigateway", apiVersion: "1", targetPrefix: "",
                speaksQuery: false)
        }
        let table = ServiceTable(keys)
        let head = RequestHead(method: "GET", path: path, query: "", headers: [])
        for (host, scope) in [("localhost", "apigateway"), ("apigateway.us-east-1.amazonaws.com", nil)] {
            let found = table.resolve(head, host: HostName(host), scope: scope)
            #expect(found == .service(version == "v2" ? 0 : 1), "\(path) at \(host)")
        }
    }

    @Test func s3TakesTheRest() {
        #expect(resolve("PUT", "/bucket/key") == "s3")
        #expect(resolve("GET", "/") == "s3")
    }
}
