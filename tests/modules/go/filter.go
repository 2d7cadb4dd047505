// A filter in Go, for WASI and the ABI 0.2.1. ../README.md says what it does.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"time"
	"unsafe"
)

const (
	requestHeaders      = 0
	responseHeaders     = 2
	pluginConfiguration = 7
	carryOn             = 0
)

//go:wasmimport env proxy_get_buffer_bytes
func getBufferBytes(buffer, start, size uint32, bytes, length unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_value
func getHeaderMapValue(kind uint32, name unsafe.Pointer, nameSize uint32, value, size unsafe.Pointer) uint32

//go:wasmimport env proxy_add_header_map_value
func addHeaderMapValue(kind uint32, name unsafe.Pointer, nameSize uint32, value unsafe.Pointer, size uint32) uint32

// Memory that was given to the host, until what it has written there is taken.
var given = map[uint32][]byte{}

// The number of bytes of each stream's request so far.
var received = map[uint32]uint32{}

func main() {}

//go:wasmexport proxy_abi_version_0_2_1
func marker() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 {
	block := make([]byte, size)
	place := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(block))))
	given[place] = block
	return place
}

// take returns what the host has written into memory that it asked for.
func take(place, size uint32) string {
	text := string(given[place][:size])
	delete(given, place)
	return text
}

func bytesOf(text string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(text)), uint32(len(text))
}

func requestHeader(name string) string {
	var place, size uint32
	pointer, length := bytesOf(name)
	if getHeaderMapValue(requestHeaders, pointer, length, unsafe.Pointer(&place), unsafe.Pointer(&size)) != 0 || size == 0 {
		return ""
	}
	return take(place, size)
}

func add(kind uint32, name, value string) {
	namePointer, nameSize := bytesOf(name)
	pointer, size := bytesOf(value)
	if status := addHeaderMapValue(kind, namePointer, nameSize, pointer, size); status != 0 {
		panic(status)
	}
}

//go:wasmexport proxy_on_vm_start
func onStart(root, size uint32) uint32 {
	var drawn [16]byte
	if _, err := rand.Read(drawn[:]); err != nil || drawn == [16]byte{} {
		panic("no random bytes")
	}
	first := time.Now()
	time.Sleep(time.Millisecond)
	if time.Since(first) < time.Millisecond || first.Year() < 2024 {
		panic("no clock")
	}
	fmt.Println("Go starts")
	return 1
}

//go:wasmexport proxy_on_configure
func onConfigure(root, size uint32) uint32 {
	var place, length uint32
	if getBufferBytes(pluginConfiguration, 0, size, unsafe.Pointer(&place), unsafe.Pointer(&length)) != 0 {
		return 0
	}
	fmt.Println("configured with " + take(place, length))
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, count, endOfStream uint32) uint32 {
	if requestHeader(":path") == "/fail" {
		// Not os.Exit: Envoy goes on after an exit, and so would this function.
		panic("no way on")
	}
	received[context] = 0
	add(requestHeaders, "x-greeting", os.Getenv("GREETING")+" "+requestHeader("x-name"))
	return carryOn
}

//go:wasmexport proxy_on_request_body
func onRequestBody(context, size, endOfStream uint32) uint32 {
	received[context] += size
	fmt.Fprintf(os.Stderr, "%d bytes\n", size)
	return carryOn
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, count, endOfStream uint32) uint32 {
	add(responseHeaders, "x-language", "Go")
	return carryOn
}

//go:wasmexport proxy_on_delete
func onDelete(context uint32) {
	delete(received, context)
}
