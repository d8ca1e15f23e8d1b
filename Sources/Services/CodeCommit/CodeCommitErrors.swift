import Contracts
import Platform
import Wire

extension AWSError {
    static func code(_ code: String, _ message: String) -> AWSError { AWSError(code, status: 400, message) }

    static func noRepository(_ name: String) -> AWSError {
        code("RepositoryDoesNotExistException", "\(name) does not exist")
    }

    static let badRepositoryName = code(
        "InvalidRepositoryNameException",
        "The repository name is not valid. Repository names can be any valid combination of letters, numbers, periods, "
            + "underscores, and dashes between 1 and 100 characters in length. Names are case sensitive. For more "
            + "information, see Limits in the AWS CodeCommit User Guide.")

    static let badBranchName = code("InvalidBranchNameException", "The specified reference name is not valid.")

    static func noBranch(_ name: String) -> AWSError {
        code("BranchDoesNotExistException", "The branch \(name) does not exist.")
    }

    static let badToken = code("InvalidContinuationTokenException", "The specified continuation token is not valid.")
    static let badPath = code("InvalidPathException", "The specified path is not valid.")

    static func noFile(_ path: String) -> AWSError {
        code("FileDoesNotExistException", "The file \(path) does not exist at the specified commit.")
    }

    static func noCommit(_ specifier: String) -> AWSError {
        code("CommitDoesNotExistException", "The commit \(specifier) does not exist, or it is not a commit.")
    }

    static let badCommit = code("InvalidCommitException", "The specified commit is not valid.")
    static let noResults = code("InvalidMaxResultsException", "The specified number of maximum results is not valid.")

    static func denied(_ principal: Principal, _ action: String, _ resource: String) -> AWSError {
        AWSError(
            "AccessDeniedException", status: 400,
            "User: \(principal.arn) is not authorized to perform: codecommit:\(action) on resource: \(resource) because "
                + "no identity-based policy allows the codecommit:\(action) action")
    }

    static let busy = AWSError(
        "ServiceUnavailableException", status: 503, "Too many operations of git are waiting: try again later.",
        headers: [(name: "Retry-After", value: "1")])
}
