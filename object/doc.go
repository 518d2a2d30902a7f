// Package object is what minidoor knows and does: Casdoor's organizations, applications, providers, certs, users and
// tokens, our own mini-program identities and sessions, and the use cases on them: sign in, refresh, introspect, log
// out, read the account, change the profile, store the phone number, open encrypted data, act on what the platform
// pushes, export and delete the account.
//
// Store keeps the rows. Service holds the use cases. The rows of Casdoor's tables are the structs of casdoor-go-sdk,
// whose xorm tags are Casdoor's schema.
package object
