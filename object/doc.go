// Package object is what minidoor knows and does: Casdoor's organizations, applications, providers, certs, users and
// tokens, our own mini-program identities and sessions, and the use cases on them: sign in, refresh, introspect, log
// out, read the account, change the profile, store the phone number, open encrypted data, act on what the platform
// pushes, export and delete the account.
//
// Store keeps the rows. Service holds the use cases. The rows of Casdoor's tables are the structs of casdoor-go-sdk,
// whose xorm tags are Casdoor's schema.
//
// Begin with signin.go, a sign-in from top to bottom. directory.go is what it asks of where the users are: tables.go
// and signinstore.go are the answer of a database, remote.go that of a Casdoor's API. commit.go says how rows are
// written together. family.go is the management API, whose kinds of rows are in the files with names in the plural:
// users.go, certs.go.
package object
