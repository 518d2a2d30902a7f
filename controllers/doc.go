// Package controllers is minidoor's HTTP face on beego: it decodes requests, asks package object, and writes replies,
// in OAuth 2's words on token routes and in Casdoor's everywhere else.
package controllers
