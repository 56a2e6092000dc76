// Reloads a page of the preview when the site has been rendered again.
fetch("/_changes?" + document.currentScript.src.split("?")[1]).then(() => location.reload());
