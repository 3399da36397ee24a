const filter=document.getElementById("filter");
if(filter){filter.addEventListener("input",()=>{const wanted=filter.value.toLowerCase();for(const rule of document.querySelectorAll("details.rule")){rule.hidden=wanted!==""&&!rule.textContent.toLowerCase().includes(wanted);}});}
