// What must hold before the first thing is painted: which view of the page this is. A module would come too late.
"use strict";
if (new URLSearchParams(location.search).get("view") === "obs") document.documentElement.dataset.view = "obs";
