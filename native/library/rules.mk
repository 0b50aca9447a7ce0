# The engine for programs in other languages than Python; included by ../Makefile.
#
# Everything is compiled into each library: the engine, and the files of SHIPPED, the models that the package has beside
# the one of MODEL. SHIPPED= leaves them out, so that they are loaded by path.
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' ../denoise_wrapper/__init__.py)
ABI = 1
MODELS = ../denoise_wrapper/models
LATER = $(wildcard $(patsubst %,$(MODELS)/%.dnnw,enhancer enhancer-live enhancer-tiny)) # behind those whose numbers users of the plugin have kept
SHIPPED ?= $(filter-out $(MODELS)/rnnoise.dnnw $(LATER),$(wildcard $(MODELS)/*.dnnw)) $(wildcard $(MODELS)/*_1.onnx) $(LATER)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
LADSPADIR ?= $(LIBDIR)/ladspa
DESTDIR ?=
INSTALL ?= install
OBJCOPY ?= objcopy
STRIP ?= strip

MADE = $(OUT)/library
LIBRARY_OBJECTS = $(patsubst %,$(MADE)/%.o,denoiser stream shipped shipped_files)
SONAME = libdenoise_wrapper.so.$(ABI)
SHARED = $(MADE)/$(SONAME)
STATIC = $(MADE)/libdenoise_wrapper.a
RNNOISE = $(MADE)/librnnoise.so.0
LADSPA = $(MADE)/denoise_ladspa.so
HAS_LADSPA = $(shell printf '\043include <ladspa.h>\n' | $(CC) -E - >/dev/null 2>&1 && echo yes)
LINK = $(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,--no-undefined

# A library is faster for -O3; whoever sets CFLAGS has them as they are.
ifneq ($(filter file default,$(origin CFLAGS)),)
library install: CFLAGS = -O3
endif

library: $(SHARED) $(STATIC) $(RNNOISE) $(if $(HAS_LADSPA),$(LADSPA))

ladspa: $(LADSPA)

$(MADE)/shipped.inc: library/shipped.sh $(SHIPPED) $(SHIPPED:_1.onnx=_2.onnx)
	@mkdir -p $(@D)
	library/shipped.sh $(SHIPPED) >$@

NAMED = -DDN_SHIPPED_FILES='"$(MADE)/shipped.inc"'
$(MADE)/shipped.o: COMPILE += $(NAMED)
$(MADE)/shipped.o: $(MADE)/shipped.inc
$(MADE)/denoiser.o: COMPILE += -DDN_VERSION='"$(VERSION)"'
$(MADE)/denoiser.o: ../denoise_wrapper/__init__.py

$(MADE)/shipped_files.o: library/shipped_files.S $(MADE)/shipped.inc
	$(CC) -I. $(NAMED) -c $< -o $@

$(SHARED): library/libdenoise_wrapper.map $(LIBRARY_OBJECTS) $(OBJECTS)
	$(LINK) -Wl,-soname,$(SONAME) -Wl,--version-script,$^ -o $@ -lm

$(RNNOISE): library/librnnoise.map $(MADE)/rnnoise.o $(OBJECTS)
	$(LINK) -Wl,-soname,librnnoise.so.0 -Wl,--version-script,$^ -o $@ -lm

$(LADSPA): library/ladspa.map $(MADE)/ladspa.o $(LIBRARY_OBJECTS) $(OBJECTS)
	$(LINK) -Wl,--version-script,$^ -o $@ -lm -pthread

# One object, of which only the public symbols can be seen.
$(STATIC): $(LIBRARY_OBJECTS) $(OBJECTS)
	$(CC) $(CFLAGS) -r -nostdlib $^ -o $(MADE)/libdenoise_wrapper.o
	$(OBJCOPY) --localize-hidden $(MADE)/libdenoise_wrapper.o
	rm -f $@
	$(AR) rcs $@ $(MADE)/libdenoise_wrapper.o

ifeq ($(HAS_LADSPA),)
TESTS := $(filter-out $(OUT)/test_ladspa,$(TESTS))
endif

$(OUT)/test_library: tests/test_library.c $(LIBRARY_OBJECTS) $(OBJECTS) $(HEADERS)
	$(COMPILE) $< $(LIBRARY_OBJECTS) $(OBJECTS) -o $@ -lm -pthread

$(OUT)/test_rnnoise: tests/test_rnnoise.c $(MADE)/rnnoise.o $(OBJECTS) $(HEADERS)
	$(COMPILE) $< $(MADE)/rnnoise.o $(OBJECTS) -o $@ -lm

$(OUT)/test_ladspa: tests/test_ladspa.c $(MADE)/ladspa.o $(LIBRARY_OBJECTS) $(OBJECTS) $(HEADERS)
	$(COMPILE) $< $(MADE)/ladspa.o $(LIBRARY_OBJECTS) $(OBJECTS) -o $@ -lm -pthread

FILLED = sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|; s|@SONAME@|$(SONAME)|' \
    -e 's|@FILE@|$(SONAME)|; s|@UP@|$(shell realpath -ms --relative-to=$(LIBDIR)/cmake/DenoiseWrapper $(PREFIX))|'
PLACE = $(DESTDIR)$(LIBDIR)

install: library
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/include/denoise_wrapper $(PLACE)/pkgconfig $(PLACE)/cmake/DenoiseWrapper \
	    $(PLACE)/denoise_wrapper
	$(INSTALL) -m 644 library/denoise_wrapper/denoise.h $(DESTDIR)$(PREFIX)/include/denoise_wrapper/
	$(INSTALL) -m 755 $(SHARED) $(PLACE)/
	ln -sf $(SONAME) $(PLACE)/libdenoise_wrapper.so
	$(INSTALL) -m 644 $(STATIC) $(PLACE)/
	$(INSTALL) -m 755 $(RNNOISE) $(PLACE)/denoise_wrapper/
	ln -sf librnnoise.so.0 $(PLACE)/denoise_wrapper/librnnoise.so
	$(FILLED) library/denoise_wrapper.pc.in >$(PLACE)/pkgconfig/denoise_wrapper.pc
	$(FILLED) library/DenoiseWrapperConfig.cmake.in >$(PLACE)/cmake/DenoiseWrapper/DenoiseWrapperConfig.cmake
	$(FILLED) library/DenoiseWrapperConfigVersion.cmake.in \
	    >$(PLACE)/cmake/DenoiseWrapper/DenoiseWrapperConfigVersion.cmake
	if test -f $(LADSPA); then \
	    $(INSTALL) -d $(DESTDIR)$(LADSPADIR) && $(INSTALL) -m 755 $(LADSPA) $(DESTDIR)$(LADSPADIR)/; \
	else echo "no ladspa.h (ladspa-sdk), so no LADSPA plugin"; fi

warnings: $(MADE)/denoiser.o $(MADE)/stream.o $(MADE)/rnnoise.o

.PHONY: library ladspa install
