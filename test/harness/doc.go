// Package harness starts whole servers inside a test: the database, a fake WeChat, all routes behind a real socket, and
// a log that the test can read. Several may run in one process.
package harness
